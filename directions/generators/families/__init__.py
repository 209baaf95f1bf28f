"""Families of generators, one file each."""
