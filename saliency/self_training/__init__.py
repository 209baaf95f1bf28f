"""A segmenter teaches a better one on photos that nobody labelled."""
