"""Peak memory of a fresh process that loads an exported model and hears one utterance.

`python -m tasks.peak_memory THREADS SAMPLES.npy MODEL.onnx [FRONTEND.onnx]` prints, as JSON, the peak once
Python, NumPy and ONNX Runtime are loaded, and the peak after the run. It is read from VmHWM of
/proc/self/status, because ru_maxrss still counts the parent that forked the process.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.deployed import Deployed


def peak_mb() -> float:
    """The most memory this process ever held at once, in MB (10^6 bytes)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("/proc/self/status has no VmHWM: peak memory can be measured on Linux only")


def measure(model: Path, frontend: Path | None, samples: npt.NDArray[np.float32], threads: int) -> dict[str, float]:
    """`peak_memory_mb` and `baseline_memory_mb`; raises RuntimeError with what the process said if it fails."""
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file, samples)
        file.flush()
        paths = [file.name, model.resolve(), *([frontend.resolve()] if frontend else [])]
        command = [sys.executable, "-m", "tasks.peak_memory", str(threads), *map(str, paths)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    if done.returncode:
        raise RuntimeError(f"{model} cannot be run in a fresh process:\n{done.stderr.strip()}")
    return {str(key): float(value) for key, value in json.loads(done.stdout).items()}


def main(arguments: list[str]) -> None:
    samples, model, *frontend = map(Path, arguments[1:])
    baseline = peak_mb()
    Deployed.load(model, frontend[0] if frontend else None, int(arguments[0]))(np.load(samples))
    print(json.dumps({"peak_memory_mb": peak_mb(), "baseline_memory_mb": baseline}))


if __name__ == "__main__":
    main(sys.argv[1:])
