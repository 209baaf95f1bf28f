"""The page that shows every direction."""
