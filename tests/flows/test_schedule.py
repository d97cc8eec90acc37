"""A schedule really fires, and its run does what a run by hand does."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import suppress

import pytest
from project import PATIENCE_S, REPO, wait_for

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
def test_a_scheduled_run_that_is_killed_leaves_nothing_behind_and_a_second_one_finishes_its_work(
    finished, tmp_path_factory
):
    """With a server of its own: that of the other tests, like the one of a single run, has no scheduler.

    The process of `kd schedule` is killed while a stage sleeps; a second one finds what Prefect's database then holds.
    """
    finished.outdate("evaluate@baseline")
    finished.order("evaluate-baseline", "sleep", "6000")
    home = tmp_path_factory.mktemp("prefect")
    killed = scheduled(finished, home)
    kept = finished.root / "scratch" / "resume" / "evaluate-baseline"
    wait_for(lambda: list(kept.rglob("step")), killed)
    killed.kill()
    killed.communicate(timeout=PATIENCE_S)
    wait_for(lambda: not finished.processes())

    finished.order("evaluate-baseline")
    finished.forget()
    second = scheduled(finished, home)
    try:
        wait_for(lambda: "report" in finished.noted("end"), second)
    finally:
        second.send_signal(signal.SIGINT)
        output = second.communicate(timeout=PATIENCE_S)[0]
    assert "evaluate-baseline" in finished.noted("resumed"), output
    assert "RUNNING" not in finished.statuses()
    wait_for(lambda: not finished.processes())


def scheduled(project, home):
    """`kd schedule`, but every five seconds; `home` is Prefect's folder."""
    environment = {
        **{key: value for key, value in os.environ.items() if key != "PREFECT_API_URL"},
        "PREFECT_HOME": str(home),
        "PREFECT_RUNNER_POLL_FREQUENCY": "2",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
    }
    return subprocess.Popen(
        [sys.executable, "-c", SERVE.format(port=free_port())], cwd=project.root, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.slow
def test_the_deployment_of_prefect_yaml_fires_from_a_work_pool(finished, tmp_path_factory):
    """With the commands that stand in prefect.yaml, but every five seconds instead of every night."""
    finished.set("evaluation.confidence", 0.9)
    text = (REPO / "prefect.yaml").read_text()
    nightly = 'cron: "0 3 * * *"\n        timezone: UTC\n'
    assert nightly in text
    (finished.root / "prefect.yaml").write_text(text.replace(nightly, "interval: 5\n"))
    (finished.root / "flows").symlink_to(REPO / "flows")
    port = free_port()
    environment = {
        **os.environ,
        "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "KD_ROOT": str(finished.root),
    }

    def prefect(*words):
        return subprocess.Popen(
            [sys.executable, "-m", "prefect", "--no-prompt", *words], cwd=finished.root, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    started = [prefect("server", "start", "--host", "127.0.0.1", "--port", str(port))]
    try:
        wait_for(lambda: healthy(port), started[0])
        for words in (("work-pool", "create", "--type", "process", "kd"), ("deploy", "--all")):
            command = prefect(*words)
            output = command.communicate(timeout=PATIENCE_S)[0]
            assert command.returncode == 0, output
        started.append(prefect("worker", "start", "--pool", "kd", "--limit", "1"))
        wait_for(lambda: "report" in finished.noted("end"), started[1])
    finally:
        for process in reversed(started):
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE_S)
    wait_for(lambda: not finished.processes())


def healthy(port):
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=2) as answer:
        return answer.status == 200
    return False


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]
