"""Worker of against_whisper.py: faster-whisper in an environment of its own; a JSON line with texts, times and memory.

python benchmarks/transcribe_whisper.py MODEL BEAM PROMPT THREADS REPEATS FILES.json
"""

import json
import sys
import time
from pathlib import Path

from rounds import tell_rounds

STARTED = time.perf_counter()

from faster_whisper import WhisperModel  # noqa: E402  # the import counts as start-up


def main() -> None:
    folder, beam, prompt, threads, repeats, listing = sys.argv[1:]
    files = json.loads(Path(listing).read_text(encoding="utf-8"))
    model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=int(threads), local_files_only=True)

    def text_of(file: str) -> str:
        segments, _ = model.transcribe(
            file,
            language="en",
            beam_size=int(beam),
            initial_prompt=prompt or None,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return " ".join(segment.text for segment in segments)

    tell_rounds(text_of, files, int(repeats), STARTED)


if __name__ == "__main__":
    main()
