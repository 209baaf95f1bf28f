"""Middle floor: generators, their interpretable directions, and the background-removal shift."""
