"""Training as stages do it: batches, cached features, validation, history, resume states."""
