"""What all tests need of the process they run in."""

import os
import signal

from hypothesis import settings

# The same examples on every machine, so that nobody's change fails for what another's brought to light.
# HYPOTHESIS_PROFILE=search draws new ones: pytest -m hypothesis
settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.register_profile("search", print_blob=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_configure() -> None:
    """Hear Ctrl-C: a shell starts what runs in the background deaf to SIGINT, and children would inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
