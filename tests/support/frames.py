"""For programs that are started in a terminal by a test: when rich has drawn. Loaded, it lets rich draw often."""

from threading import Semaphore
from typing import Any

from rich.live import Live

_frames = Semaphore(0)
_refresh = Live.refresh
_start = Live.start


def wait_for_a_frame() -> None:
    """Return once a frame has been drawn that was begun after this call."""
    while _frames.acquire(blocking=False):
        pass
    for _ in range(2):  # the first may have been under way
        _frames.acquire()


def _refreshed(live: Live) -> None:
    _refresh(live)
    _frames.release()


def _started(live: Live, *given: Any, **options: Any) -> None:
    live.refresh_per_second = 50
    _start(live, *given, **options)


Live.refresh = _refreshed
Live.start = _started
