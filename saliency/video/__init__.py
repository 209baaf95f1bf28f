"""Videos: their frames read, cut out one by one without flicker, and written with their sound."""
