"""A schedule really fires, and its run does what a run by hand does."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

SERVE = """
from datetime import timedelta
from pathlib import Path
from flows.environment import prepare_environment
prepare_environment(quiet=False)
from flows.server import scheduling_server
with scheduling_server(port={port}):
    from flows.schedule import serve
    serve(Path(), jobs=2, retries=0, interval=timedelta(seconds=5))
"""


@pytest.mark.slow
def test_a_scheduled_run_fires_and_brings_everything_up_to_date(finished, tmp_path_factory):
    """With a server of its own: that of the other tests, like the one of a single run, has no scheduler."""
    finished.set("students.distilled.objective.beta", 0.75)
    environment = {
        **{key: value for key, value in os.environ.items() if key != "PREFECT_API_URL"},
        "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")),
        "PREFECT_RUNNER_POLL_FREQUENCY": "2",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
    }
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE.format(port=free_port())], cwd=finished.root, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 150
        while "report" not in finished.noted("end") and time.monotonic() < deadline:
            assert server.poll() is None, server.communicate()[0]
            time.sleep(0.5)
    finally:
        server.send_signal(signal.SIGINT)
        output = server.communicate(timeout=60)[0]
    assert "report" in finished.noted("end"), output
    assert finished.processes() == []


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
