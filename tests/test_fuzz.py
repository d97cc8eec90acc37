"""The fuzzer catches what is planted; and a sample of what it gives to the code that reads users' files goes well."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
PLANTED = """
import json, select, sys
from pathlib import Path
from types import SimpleNamespace
from fuzzing import children
from fuzzing.children import Fuzzer
from fuzzing.planted import WAYS

room = Path(sys.argv[1])

def patient(reading, writing, failing, wait_s):
    '''As select, but the time is over once the case that is deaf to its alarm has begun.'''
    assert wait_s == 660
    while True:
        deaf = (room / "planted" / "deaf").exists()
        if (ready := select.select(reading, writing, failing, 0.1))[0]:
            return ready
        if deaf:
            (room / "planted" / "deaf").unlink()
            return [], [], []

children.select = SimpleNamespace(select=patient)
fuzzer = Fuzzer("1", room, Path(sys.argv[2]))
found = fuzzer.run({"planted": range(len(WAYS))}, parts=1, say=lambda line: None)
names = list(WAYS)
print(json.dumps({names[number]: verdict.problem for (_, number), verdict in found.failures.items()}))
"""
SAMPLE = {"params": 160, "tables": 40, "audio": 60, "commands": 60}


@pytest.mark.slow
def test_whatever_is_planted_is_caught_and_named_and_what_comes_after_it_is_tried(tmp_path: Path) -> None:
    out = tmp_path / "out"
    paths = [str(REPO / "tests" / "support"), str(REPO)]
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {paths}\n{PLANTED}", str(tmp_path / "room"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    expected = {
        "traceback": "KeyError in planted.py",
        "wrong type of refusal": "JSONDecodeError in",
        "several lines": "AssertionError in",
        "printed traceback": "a traceback is printed",
        "long line": "a line of 501 characters",
        "long line of a library": "a line of 501 characters",
        "warning": "warning: DeprecationWarning",
        "busy": "no end after 5 s of the processor",
        "waiting": "or 600 s of waiting",
        "deaf": "deaf to the alarm",
        "crash": "ended with exit code -11",
        "exit code": "AssertionError in",
    }
    assert found.keys() == expected.keys()
    for name, problem in expected.items():
        assert problem in found[name], name
    kept = json.loads((out / "planted-0" / "case.json").read_text())
    assert (kept["seed"], kept["kind"], kept["number"]) == ("1", "planted", 0)
    assert "KeyError: 'planted'" in kept["said"]
    assert (out / "planted-0" / "input").read_bytes() == b"planted"


@pytest.mark.slow
def test_a_sample_of_damaged_inputs_ends_in_no_traceback_hang_warning_or_endless_line(tmp_path: Path) -> None:
    options = [word for kind, count in SAMPLE.items() for word in (f"--{kind}", str(count))]
    command = [sys.executable, "benchmarks/fuzz.py", "sample", *options, "--parts", "2", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for kind, count in SAMPLE.items():
        assert f"{kind}: {count} cases: " in done.stdout
