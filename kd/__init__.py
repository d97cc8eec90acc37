"""Pure compute: recognisers, losses, propagation, training and metrics. Opens no file."""
