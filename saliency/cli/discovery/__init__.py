"""The parts of `saliency discover`."""
