"""A stage forked from a warm process is to its caller what a plain one is."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from project import PATIENCE_S, make_tiny_project, wait_for

from flows.dvc_state.graph import Node
from flows.run.warm import THREADLESS, warm_process
from tasks.runner.warm import code_now

SCRIPT = """
import os, signal, sys, time
from tasks.runner.warm import Warm

def run(arguments):
    print(f"{arguments} in {os.getcwd()}, MARK={os.environ.get('MARK')}", flush=True)
    if arguments[0] == "raise":
        raise ValueError("no luck")
    if arguments[0] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if arguments[0] == "sleep":
        try:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
            open("sleeping", "w").write(str(os.getpid()))
            time.sleep(6000)
        finally:
            open("tidied", "w").close()
    return 7

stage = Warm(sys.argv[1], lambda arguments: arguments[0] != "other").serve(0)
sys.exit(0 if stage is None else run(stage))
"""
CLIENT = """
import sys
from tasks.runner.warm_client import run_warm
code = run_warm(sys.argv[1:])
sys.exit(99 if code is None else code)
"""


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    name = f"kd-test-{os.getpid()}-{time.time_ns()}"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, name], cwd=tmp_path, stdin=subprocess.PIPE)
    wait_for(lambda: listens(name))
    yield name, process
    process.stdin.close()
    process.wait(timeout=PATIENCE_S)


def listens(name: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        return connection.connect_ex(f"\0{name}") == 0


def client(name: str, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "KD_WARM": name, "MARK": "own"}
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, *arguments], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("argument", "code", "said"),
    [
        ("anything", 7, "MARK=own"),
        ("raise", 1, "ValueError: no luck"),
        ("kill", 137, "['kill']"),
        ("other", 99, ""),
    ],
)
def test_exit_codes_output_and_environment_are_the_stages_own(warm, tmp_path, argument, code, said):
    run = client(warm[0], tmp_path, argument)
    output = run.communicate(timeout=PATIENCE_S)[0]
    assert run.returncode == code, output
    assert said in output


def test_without_a_warm_process_or_elsewhere_the_stage_runs_plainly(warm, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name, folder in (("kd-nobody", tmp_path), (warm[0], elsewhere)):
        run = client(name, folder, "anything")
        run.communicate(timeout=PATIENCE_S)
        assert run.returncode == 99


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_killed_client_takes_its_stage_along_which_tidies_up(warm, tmp_path, number, code):
    run = client(warm[0], tmp_path, "sleep")
    file = tmp_path / "sleeping"
    wait_for(lambda: file.is_file() and file.read_text(), run)
    run.send_signal(number)
    run.communicate(timeout=PATIENCE_S)
    assert run.returncode == code
    wait_for(lambda: not psutil.pid_exists(int(file.read_text())))
    assert (tmp_path / "tidied").is_file()


def test_the_warm_process_ends_with_the_flow_that_holds_its_input(warm, tmp_path):
    process = warm[1]
    process.stdin.close()
    assert process.wait(timeout=PATIENCE_S) == 0


def test_what_is_loaded_ahead_starts_no_thread():
    """Nor is onnxruntime among it, which does so when it is imported: what has threads cannot be forked."""
    code = (
        "import sys; from importlib import import_module; from pathlib import Path\n"
        "from tasks.runner.warm import LOADED\n"
        "for module in LOADED: import_module(module)\n"
        "print(len(list(Path('/proc/self/task').iterdir())), 'onnxruntime' in sys.modules)"
    )
    libraries = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    environment = {**os.environ, **libraries, **THREADLESS}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]


def test_a_stage_of_a_run_is_forked_and_its_client_loads_nothing_slow(tmp_path):
    project = make_tiny_project(tmp_path)
    nodes = [Node(name, frozenset()) for name in ("corpus", "preprocess", "distil@sliced")]
    with warm_process(project.root, nodes) as name:
        assert name is not None
        wait_for(lambda: listens(name))
        run = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "tasks", "corpus"],
            cwd=project.root, env={**os.environ, "KD_WARM": name},
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr[-2000:]
        assert (project.root / "data" / "raw").is_dir()
        loaded = {
            line.rpartition("|")[2].strip() for line in run.stderr.splitlines() if line.startswith("import time:")
        }
        assert not loaded & {"pydantic", "numpy", "torch", "yaml"}
    wait_for(lambda: not listens(name))


def test_few_stages_and_those_that_profile_start_none(tmp_path):
    with warm_process(tmp_path, [Node("corpus", frozenset()), Node("preprocess", frozenset())]) as name:
        assert name is None
    with warm_process(tmp_path, [Node(f"profile@{i}", frozenset(), exclusive=True) for i in range(9)]) as name:
        assert name is None


def test_a_warm_process_knows_that_the_code_has_changed(tmp_path):
    file = tmp_path / "kd" / "losses" / "ctc.py"
    file.parent.mkdir(parents=True)
    file.write_text("a = 1\n")
    before = code_now(tmp_path)
    assert code_now(tmp_path) == before != {}
    file.write_text("a = 10\n")
    assert code_now(tmp_path) != before
