"""What a direction does to images: scores, the background shift, naturalness."""
