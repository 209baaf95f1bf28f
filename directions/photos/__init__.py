"""Photos as latents of a generator."""
