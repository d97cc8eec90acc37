"""Pure compute: recognisers, losses, propagation, training and metrics. Opens no file, but for `kd.runtime`, which users run."""
