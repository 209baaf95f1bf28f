"""Benchmarks: photos with masks that people drew, read and fetched; for scoring alone."""
