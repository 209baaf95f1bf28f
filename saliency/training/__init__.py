"""Training a segmenter on pairs."""
