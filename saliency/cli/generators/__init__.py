"""The parts of `saliency generator`."""
