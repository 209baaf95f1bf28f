"""Ground floor: photos in, image/mask pairs out. Imports nothing else of this project."""
