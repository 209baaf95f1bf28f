"""Saliency maps that follow the photo's own edges."""
