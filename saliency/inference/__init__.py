"""From a photo to its saliency map."""
