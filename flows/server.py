"""A Prefect server for schedules: the temporary one that a single run uses has no scheduler."""

import http.client
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.runner.supervisor import kill_tree, start_watchdog

HOST, PORT = "127.0.0.1", 4200
START_S = 600.0
POLL_S = 0.5


@contextmanager
def scheduling_server(port: int = PORT) -> Iterator[str]:
    """The address of PREFECT_API_URL where set, else of a server on this machine, started and ended here if need be.

    To be entered before Prefect is imported, which reads that variable. Where this process is killed, what it has
    started, the server and a scheduled run, ends with it. Raises RuntimeError if no server starts.
    """
    given = os.environ.get("PREFECT_API_URL")
    address = os.environ["PREFECT_API_URL"] = given or f"http://{HOST}:{port}/api"
    if given or _healthy(address):
        start_watchdog(os.getpid())
        yield address
        return
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    start_watchdog(os.getpid())
    try:
        _wait_for(server, address)
        yield address
    finally:
        kill_tree(server.pid)
        server.wait()


def unreachable() -> str | None:
    """The address of PREFECT_API_URL if it is set and no server answers there, cut to what can be printed."""
    given = os.environ.get("PREFECT_API_URL")
    return ascii(given)[1:-1][:120] if given and not _healthy(given.rstrip("/")) else None


def _wait_for(server: "subprocess.Popen[bytes]", address: str) -> None:
    deadline_s = time.monotonic() + START_S
    while not _healthy(address):
        if server.poll() is not None or time.monotonic() > deadline_s:
            command = f"prefect server start --host {HOST}"
            raise RuntimeError(f"Prefect's server did not start at {address}. `{command}` tells why")
        time.sleep(POLL_S)


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError):
        return False
