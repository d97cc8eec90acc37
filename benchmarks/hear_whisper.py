"""Worker of against_whisper.py: faster-whisper in an environment of its own; a JSON line with texts, times and memory.

python benchmarks/hear_whisper.py MODEL BEAM PROMPT THREADS REPEATS FILES.json
"""

import json
import sys
import time
from pathlib import Path

STARTED = time.perf_counter()

from faster_whisper import WhisperModel  # noqa: E402  # the import counts as start-up


def main() -> None:
    folder, beam, prompt, threads, repeats, listing = sys.argv[1:]
    files = json.loads(Path(listing).read_text(encoding="utf-8"))
    model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=int(threads), local_files_only=True)

    def hear(file: str) -> str:
        segments, _ = model.transcribe(
            file,
            language="en",
            beam_size=int(beam),
            initial_prompt=prompt or None,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return " ".join(segment.text for segment in segments)

    hear(files[0])
    start_s, rounds = time.perf_counter() - STARTED, []
    for _ in range(int(repeats)):
        begun = time.perf_counter()
        texts = [hear(file) for file in files]
        rounds.append(time.perf_counter() - begun)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak_mb = int(status.split("VmHWM:")[1].split()[0]) / 1024  # ru_maxrss would hold the parent's as well
    print(json.dumps({"texts": texts, "rounds_s": rounds, "start_s": start_s, "peak_mb": peak_mb}))


if __name__ == "__main__":
    main()
