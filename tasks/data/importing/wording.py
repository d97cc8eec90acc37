"""What `kd import` prints."""

from collections.abc import Iterator

from kd.runtime.terminal import one_line
from tasks.data.importing.preview import PartSeen, Preview

_TEXT, _NAME = 70, 40  # characters


def lines_of_preview(seen: Preview) -> Iterator[str]:
    """First utterances, counts by part, and what would be put aside."""
    yield "First utterances:"
    for row, seconds in seen.first:
        length = "put aside" if seconds is None else f"{seconds:.2f} s"
        speaker = "speaker unknown" if row.speaker is None else f"speaker {_cut(row.speaker, 16)}"
        text = "(no transcript)" if row.text is None else _cut(row.text, _TEXT)
        yield f"  {_cut(row.id, _NAME)}  {length}  {speaker}  {text}"
    yield ""
    yield f"{'part':<8}{'utterances':>12}{'hours':>12}{'speakers':>10}{'without text':>14}"
    for name, part in seen.parts.items():
        count = f"{part.utterances:,}{'' if part.whole else '+'}"
        hours = f"{'' if part.decoded == part.utterances and part.whole else 'about '}{part.hours:.3f}"
        yield f"{name:<8}{count:>12}{hours:>12}{_speakers(part):>10}{part.unlabelled:>14,}"
    if "all" in seen.parts:
        yield "all: whole speakers are divided among the parts by preprocess.splits"
    if shared := seen.shared_speakers:
        yield f"warning: {len(shared)} speakers are in more than one part, such as {_cut(shared[0], _NAME)}"
    yield ""
    yield from _aside(seen)


def _speakers(part: PartSeen) -> str:
    return f"{len(part.speakers):,}" if part.speakers else "unknown"


def _aside(seen: Preview) -> Iterator[str]:
    decoded = sum(part.decoded for part in seen.parts.values())
    every = all(part.whole and part.decoded == part.utterances for part in seen.parts.values())
    of = f"all {decoded:,} utterances" if every else f"{decoded:,} utterances, the first of each part"
    if not seen.aside:
        yield f"Nothing would be put aside of {of}."
        return
    yield f"{sum(seen.aside.values()):,} would be put aside of {of}:"
    for reason, count in sorted(seen.aside.items(), key=lambda item: (-item[1], item[0])):
        bad = seen.examples[reason]
        yield one_line(f"  {count:,} {reason}, such as {bad.id} ({bad.path or 'no path'}): {bad.detail}")


def _cut(text: str, most: int) -> str:
    plain = one_line(text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"
