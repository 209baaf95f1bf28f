"""What `saliency predict` writes, and where."""
