"""What stages write and read: safe files, locks, pairs, pseudo-labels, tensors."""
