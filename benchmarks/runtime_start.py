"""From the shell to the text: seconds of `python -m kd.runtime transcribe` on one short recording, and its peak memory.

    python benchmarks/runtime_start.py exports/sliced my.wav

Each call is a process of its own, started where no site-packages are but links to what onnxruntime, numpy and
soundfile need. The first call, which reads files from the disk, is left out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

PACKAGES = ("numpy", "onnxruntime", "soundfile")
CODE = """
import sys; sys.path.append(sys.argv[1])
from kd.runtime.program import main
code = main(sys.argv[2:])
print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0], code)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path)
    parser.add_argument("audio", type=Path)
    parser.add_argument("--calls", type=int, default=10)
    options = parser.parse_args()
    if not options.audio.is_file():
        parser.error(f"{options.audio}: no such file")
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        bare_room(room)
        command = [
            sys.executable,
            "-I",
            "-S",
            "-c",
            CODE,
            str(room),
            "transcribe",
            str(options.export),
            str(options.audio),
        ]
        seconds, text, peak_kb, cpu_s = [], "", 0, float("inf")
        for _ in range(options.calls + 1):
            begun, cpu_before_s = time.perf_counter(), children_cpu_s()
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds.append(time.perf_counter() - begun)
            cpu_s = min(cpu_s, children_cpu_s() - cpu_before_s)
            text, facts = done.stdout.splitlines()
            peak_kb = int(facts.split()[0])
    found = {
        "text": text,
        "median_s": round(statistics.median(seconds[1:]), 3),
        "fastest_s": round(min(seconds[1:]), 3),
        "least_cpu_s": round(cpu_s, 3),
        "peak_mb": round(peak_kb / 1024, 1),
    }
    print(json.dumps(found, indent=1))


def children_cpu_s() -> float:
    """Processor time of all calls so far: what the wall clock would show on a machine that does nothing else."""
    times = os.times()
    return times.children_user + times.children_system


def bare_room(folder: Path) -> None:
    """Links to kd and to what pip would install for PACKAGES."""
    site, waiting, seen = Path(sysconfig.get_paths()["purelib"]), list(PACKAGES), set()
    (folder / "kd").symlink_to(Path(__file__).parents[1].resolve() / "kd")
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        package = distribution(name)
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(site / top)
        wanted = (Requirement(line) for line in package.requires or ())
        waiting += [w.name for w in wanted if w.marker is None or w.marker.evaluate({"extra": ""})]


if __name__ == "__main__":
    main()
