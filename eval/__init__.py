"""Ground floor: metrics, named protocols and benchmark runs."""
