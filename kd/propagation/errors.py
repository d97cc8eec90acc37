"""The error of operators and of pruning during training, for whoever goes on to another model."""


class CannotShrinkError(ValueError):
    """What is asked for cannot be done to this model: its settings are at fault, not its data."""
