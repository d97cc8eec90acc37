"""A process in which most of what stages import is loaded, and from which each stage is forked.

`python -m tasks --warm NAME THREADS` serves the socket NAME until its standard input ends, which is when the
flow that started it is gone: it never outlives one run. It starts no thread, so that forking is safe.
"""

import json
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tasks.runner.supervisor import terminate_after
from tasks.runner.warm_client import PLAIN

LOADED = ("tasks.stages.distil", "scipy.signal")
"""Most of what any stage imports. Not onnxruntime, which starts a thread when it is imported."""

PATIENCE_S = 5.0
"""With a client that connects and asks for nothing."""

Code = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Request:
    """What a client is, and its stage shall be."""

    arguments: list[str]
    cwd: str
    environment: dict[str, str]

    def become(self, descriptors: Sequence[int]) -> None:
        """Take the client's standard input and outputs, environment, arguments and how it takes Ctrl-C."""
        for own, given in enumerate(descriptors):
            os.dup2(given, own)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.clear()
        os.environ.update(self.environment)
        sys.argv[1:] = self.arguments


class Warm:
    """The server of stages."""

    def __init__(self, name: str, fits: Callable[[list[str]], bool]) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(f"\0{name}")
        self._listener.listen()
        self._fits = fits
        self._stages: dict[int, socket.socket] = {}

    def serve(self, until: int) -> list[str] | None:
        """Fork stages until the file descriptor `until` is at its end; what then still runs looks after itself.

        Returns None in the warm process, and the stage's arguments in each fork, which is to run it and end.
        """
        while True:
            listened: list[int | socket.socket] = [until, self._listener]
            ready, _, _ = select.select(listened, [], [], 0.05 if self._stages else None)
            if until in ready:
                return None
            if self._listener in ready and (arguments := self._accept()) is not None:
                return arguments
            self._reap()

    def _reap(self) -> None:
        for pid in list(self._stages):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
                with self._stages.pop(pid) as connection:
                    _answer(connection, str(code if code >= 0 else 128 - code))

    def _accept(self) -> list[str] | None:
        """The stage's arguments in the fork that is to run it, None in the warm process."""
        connection, _ = self._listener.accept()
        descriptors: list[int] = []
        try:
            connection.settimeout(PATIENCE_S)
            peer = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            head, descriptors, _, _ = socket.recv_fds(connection, 8, 3)
            request = Request(**json.loads(_exactly(connection, int.from_bytes(head, "big"))))
            if peer[1] != os.getuid() or request.cwd != str(Path.cwd()) or not self._fits(request.arguments):
                _answer(connection, PLAIN)
                connection.close()
                return None
            pid = os.fork()
            if pid == 0:
                for other in (self._listener, connection, *self._stages.values()):
                    other.close()
                request.become(descriptors)
                terminate_after(peer[0])
                return request.arguments
            self._stages[pid] = connection
            _answer(connection, str(pid))
        except (OSError, ValueError, TypeError, IndexError):
            connection.close()
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return None


def serve_stages(name: str, threads: int) -> list[str] | None:
    """Load what stages import, then serve; returns as `Warm.serve` does. A stage that comes before runs plainly."""
    from tasks.runner.harness import threads_of

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = code_now()
    for module in LOADED:
        import_module(module)

    def fits(arguments: list[str]) -> bool:
        """With as many threads as the libraries were loaded with, and our code as it was loaded."""
        stage, name = arguments[0], "".join(arguments[1:])
        return threads_of(stage, name) == threads and code_now() == code

    if len(list(Path("/proc/self/task").iterdir())) > 1:
        return None  # a fork would have none of the other threads, and for ever what they hold
    return Warm(name, fits).serve(0)


def code_now(root: Path = Path(__file__).parents[2]) -> Code:
    """When and how large the files of our own code are, which a warm process must not be older than."""
    files = [file for package in ("kd", "tasks") for file in (root / package).rglob("*.py")]
    return {str(file): (file.stat().st_mtime_ns, file.stat().st_size) for file in files}


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        if not (more := connection.recv(count - len(received))):
            raise OSError("the client went away")
        received += more
    return received


def _answer(connection: socket.socket, text: str) -> None:
    with suppress(OSError):  # the client is gone, which its stage sees
        connection.sendall(f"{text}\n".encode())
