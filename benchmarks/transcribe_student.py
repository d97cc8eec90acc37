"""Worker of against_whisper.py: an exported model through kd.runtime; a JSON line with texts, times and memory.

python benchmarks/transcribe_student.py EXPORT FORM THREADS REPEATS FILES.json
"""

import json
import sys
import time
from pathlib import Path

from rounds import tell_rounds

STARTED = time.perf_counter()
sys.path.insert(0, str(Path(__file__).parents[1]))

from kd.runtime.audio import read  # noqa: E402  # the import counts as start-up
from kd.runtime.greedy import Greedy  # noqa: E402
from kd.runtime.recogniser import Recogniser  # noqa: E402
from kd.runtime.transcribe import transcribe  # noqa: E402


def main() -> None:
    export, form, threads, repeats, listing = sys.argv[1:]
    files = json.loads(Path(listing).read_text(encoding="utf-8"))
    recogniser = Recogniser.load(Path(export), form, int(threads))
    rate_hz = recogniser.bundle.frontend.sample_rate_hz

    def text_of(file: str) -> str:
        return transcribe(recogniser, lambda _: Greedy(), file, [read(file, rate_hz)]).text

    tell_rounds(text_of, files, int(repeats), STARTED)


if __name__ == "__main__":
    main()
