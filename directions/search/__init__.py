"""The search for interpretable directions: deformator A, reconstructor R, closed forms."""
