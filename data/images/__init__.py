"""Images on their way in: photos, masks, composites, augmentation, sheets of pictures."""
