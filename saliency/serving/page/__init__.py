"""The page's files: HTML, style, scripts. Nothing is loaded from elsewhere."""
