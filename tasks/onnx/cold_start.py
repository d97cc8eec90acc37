"""A fresh process that loads an exported model and transcribes one utterance: how soon, and in how much memory.

`python -m tasks.onnx.cold_start THREADS SAMPLES.npy MODEL.onnx [FRONTEND.onnx]` prints, as JSON, the peak once
Python, NumPy and ONNX Runtime are loaded, the peak after the run, and the time from opening the files to the
first result. The peak is read from VmHWM of /proc/self/status, because ru_maxrss still counts the parent that
forked the process.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.onnx.onnx_session import OnnxRecogniser


def peak_mb() -> float:
    """The most memory this process ever held at once, in MB (10^6 bytes)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("/proc/self/status has no VmHWM: peak memory can be measured on Linux only")


def measure(model: Path, frontend: Path | None, samples: npt.NDArray[np.float32], threads: int) -> dict[str, float]:
    """`peak_memory_mb`, `baseline_memory_mb`, `startup_ms`; raises RuntimeError with what the process said."""
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file, samples)
        file.flush()
        paths = [file.name, model.resolve(), *([frontend.resolve()] if frontend else [])]
        command = [sys.executable, "-m", "tasks.onnx.cold_start", str(threads), *map(str, paths)]
        done = subprocess.run(
            command, capture_output=True, text=True, errors="backslashreplace", cwd=Path(__file__).parents[2]
        )
    if done.returncode:
        raise RuntimeError(f"{model} cannot be run in a fresh process:\n{done.stderr.strip()}")
    return {str(key): float(value) for key, value in json.loads(done.stdout).items()}


def main(arguments: list[str]) -> None:
    """In a process of its own: arguments are threads, a .npy of samples, the model and perhaps its front end."""
    samples, model, *frontend = map(Path, arguments[1:])
    baseline, audio = peak_mb(), np.load(samples)
    started_s = time.perf_counter()
    OnnxRecogniser.load(model, frontend[0] if frontend else None, int(arguments[0]))(audio)
    startup_ms = 1000 * (time.perf_counter() - started_s)
    print(json.dumps({"peak_memory_mb": peak_mb(), "baseline_memory_mb": baseline, "startup_ms": startup_ms}))


if __name__ == "__main__":
    main(sys.argv[1:])
