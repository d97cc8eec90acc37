"""Transcripts of the same audio made before, kept under scratch/pseudo_labels/: a killed pass goes on, a changed
filter or another study transcribes nothing again."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path

from tasks.runner.reporter import Reporter
from tasks.teachers.transcribers.transcriber import Clip, Transcriber, TranscriberOutput


def transcribe_once(
    transcriber: Transcriber, clips: Sequence[Clip], folder: Path, reporter: Reporter
) -> dict[str, TranscriberOutput]:
    """id -> transcription of every clip; asks only for audio that is not in the cache."""
    if transcriber.identity is None:
        return dict(transcriber.transcribe(clips, reporter))
    file = folder / f"{transcriber.identity}.jsonl"
    known = dict(_read(file))
    keys = {clip.id: _key(clip) for clip in clips}
    missing = [clip for clip in clips if keys[clip.id] not in known]
    if len(missing) < len(clips):
        reporter.say(f"{len(clips) - len(missing)} of {len(clips)} clips were transcribed before")
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as lines:
            lines.write("\n")  # the last line may be cut short
            for name, output in transcriber.transcribe(missing, reporter):
                known[keys[name]] = output
                lines.write(json.dumps([keys[name], asdict(output)]) + "\n")
                lines.flush()
    return {clip.id: known[keys[clip.id]] for clip in clips}


def _key(clip: Clip) -> str:
    digest = blake2b(str(clip.sample_rate_hz).encode(), digest_size=16)
    digest.update(clip.waveform_N.tobytes())
    return digest.hexdigest()


def _read(file: Path) -> Iterator[tuple[str, TranscriberOutput]]:
    """Lines of the cache; one that is cut short or damaged is left out, and transcribed again."""
    if not file.is_file():
        return
    for line in filter(None, file.read_bytes().split(b"\n")):
        try:
            key, fields = json.loads(line)
            texts = tuple((text, weight) for text, weight in fields.pop("texts"))
            output = TranscriberOutput(texts, **fields)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        yield str(key), output
