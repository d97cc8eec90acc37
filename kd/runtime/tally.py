"""Many files, of which some may fail: the rest is done, and what failed is named."""

from collections.abc import Iterator
from contextlib import contextmanager

from kd.runtime.audio_decoder import Recording
from kd.runtime.errors import AudioError, RefusedError
from kd.runtime.find import Found
from kd.runtime.terminal import say


class Tally:
    """Counts what was done and what failed, and says the latter on standard error."""

    def __init__(self, program: str, found: Found) -> None:
        self._program, self._done, self._failed = program, 0, 0
        for failure in found.failures:
            self.fail(failure)

    @contextmanager
    def of(self, file: str) -> Iterator[None]:
        """One file's work: what it refuses is that file's failure alone."""
        try:
            yield
        except AudioError as error:
            self.fail(str(error))
        except RefusedError as error:
            self.fail(f"{file}: {error}")
        else:
            self._done += 1

    def remark(self, recording: Recording) -> None:
        for remark in recording.remarks:
            say(f"{self._program}: {recording.file}: {remark.text}")

    def fail(self, message: str) -> None:
        say(f"{self._program}: {message}")
        self._failed += 1

    @property
    def code(self) -> int:
        """0: all was done; 1: some files failed, or in part; 2: nothing could be done."""
        return 0 if not self._failed else 1 if self._done else 2
