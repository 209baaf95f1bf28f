"""`saliency serve`: cut-outs over HTTP, and a page for them."""
