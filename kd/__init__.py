"""Pure compute: recognisers, losses, propagation, training, metrics. Opens no file, but for `kd.runtime`."""
