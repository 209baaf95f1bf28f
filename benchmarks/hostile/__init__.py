"""What `benchmarks/robustness.py` consists of: hostile files, their readers, watched workers."""
