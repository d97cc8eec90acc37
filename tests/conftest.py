"""What all tests need of the process they run in."""

import signal


def pytest_configure() -> None:
    """Hear Ctrl-C: a shell starts what runs in the background deaf to SIGINT, and children would inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
