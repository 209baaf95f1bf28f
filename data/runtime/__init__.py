"""How a process runs: seeds, threads, processes, memory, precision, progress."""
