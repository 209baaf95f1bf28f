"""What `benchmarks/kills.py` consists of: tiny stages, and processes that are killed."""
