"""Training a generator on unlabelled photos."""
