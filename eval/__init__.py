"""Ground floor: metrics, named protocols, benchmark runs and baselines."""
