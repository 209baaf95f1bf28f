"""Classical saliency, without any learning."""
