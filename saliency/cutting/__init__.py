"""From a saliency map to a cut-out: its alpha, its colours, its background."""
