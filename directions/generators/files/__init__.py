"""Generators' files: our own, published checkpoints, archives, pickles."""
