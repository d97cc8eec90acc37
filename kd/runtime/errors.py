"""What a user can put right."""


class RefusedError(ValueError):
    """An input that cannot be used. The message says what was found, what was expected, and the remedy."""
