"""What a user can put right."""

from typing import Literal

Fault = Literal["missing", "empty", "unreadable", "non_finite", "stretch"]


class RefusedError(ValueError):
    """An input that cannot be used. The message says what was found, what was expected, and the remedy."""


class AudioError(RefusedError):
    """One recording that cannot be used; others may be. `detail` is the message without the file's name."""

    def __init__(self, file: str, fault: Fault, detail: str) -> None:
        super().__init__(f"{file}: {detail}")
        self.fault, self.detail = fault, detail
