"""Peak memory and time of `kd transcribe` against the length of a recording of 44.1 kHz stereo.

    python benchmarks/long_recording.py exports/distilled --minutes 1 10 180

The recordings are made up: bursts of tones in noise, 16-bit WAV, of which three hours are 1.9 GB. Each is transcribed
in a process of its own, whose peak is VmHWM of /proc/self/status (`ru_maxrss` still counts what forked it).
Linux alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

REPO = Path(__file__).parents[1]
RATE_HZ, CHANNELS = 44_100, 2
PERIOD_S = 10
CODE = """
import sys
from kd.runtime.program import main
code = main(sys.argv[1:])
print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0], file=sys.stderr)
sys.exit(code)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 10, 180])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for minutes in options.minutes:
            file = record(Path(folder) / "long.wav", minutes)
            print(
                json.dumps(
                    {"minutes": minutes, "megabytes": file.stat().st_size / 1e6, **transcribe(options.export, file)}
                )
            )


def record(file: Path, minutes: float) -> Path:
    """Write a recording of this length; a period of it stands in memory at a time."""
    left, period_NC = round(minutes * 60 * RATE_HZ), _period()
    with soundfile.SoundFile(file, "w", RATE_HZ, CHANNELS, "PCM_16") as out:
        while left > 0:
            out.write(period_NC[:left])
            left -= len(period_NC)
    return file


def _period() -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(0)
    time_N = np.arange(PERIOD_S * RATE_HZ) / RATE_HZ
    tones_N = sum(np.sin(2 * np.pi * hz * time_N) * (np.sin(2 * np.pi * time_N / every) > 0.3)
                  for hz, every in ((220, 0.31), (700, 0.47), (2_100, 0.73)))  # fmt: skip
    left_N = 0.1 * tones_N + 0.01 * rng.standard_normal(len(time_N))
    return np.stack([left_N, 0.8 * left_N], axis=1).astype(np.float32)


def transcribe(export: Path, file: Path) -> dict[str, float]:
    """seconds, peak_mb (10^6 bytes) and characters of the transcript. Raises CalledProcessError."""
    begun = time.perf_counter()
    command = [sys.executable, "-c", CODE, "transcribe", str(export), str(file)]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}  # so that it runs from a checkout, by its path alone
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    seconds = time.perf_counter() - begun
    peak_mb = int(done.stderr.split()[-1]) * 1024 / 1e6
    return {"seconds": round(seconds, 1), "peak_mb": round(peak_mb, 1), "characters": len(done.stdout)}


if __name__ == "__main__":
    main()
