"""Teachers' logits and pseudo-labels: teachers are adopted, run once, and read back batch by batch."""
