"""Cuts of lhotse: its own reader gives them, from manifests and from Shar folders. lhotse is loaded only for them."""

from collections.abc import Iterator
from typing import Any

from tasks.data.corpora.extracted import Extracted
from tasks.data.corpora.raw import Fault, Place, RawUtterance
from tasks.data.corpora.sources import Source, sources
from tasks.data.remote import scheme_of
from tasks.params.corpus_formats import LhotseCorpus

_ENDS = (".jsonl", ".jsonl.gz")
_BY_LHOTSE = "write such cuts to files of their own first: cuts.save_audios(FOLDER).to_file(…)"
_ROUNDED_S = 0.001  # lhotse rounds its times


def lhotse_rows(corpus: LhotseCorpus, place: Place) -> Iterator[RawUtterance]:
    """A row for each cut; where a cut has several supervisions, one for each of them.

    Audio that a Shar folder holds is written to data/raw/ as it is. Paths are relative to corpus.root.

    Raises ValueError naming the file where it holds no cuts, is damaged, or names the output of a command.
    """
    for number, source in enumerate(sources(corpus.files, corpus, place)):
        extracted = Extracted(place, f"{source.split or 'all'}-{number:05d}")
        cuts = _cuts(corpus, source)
        for i, cut in enumerate(place.reporter.progress(cuts, label=source.name), start=1):
            yield from _utterances(corpus, source, extracted, i, cut)


def _cuts(corpus: LhotseCorpus, source: Source) -> Iterator[Any]:
    """Whatever lhotse raises of a file becomes one line that names it."""
    try:
        from lhotse import CutSet
    except ImportError:
        raise ValueError("corpus.kind: lhotse needs lhotse: pip install -e '.[lhotse]' -c requirements.lock") from None
    file = source.file
    if source.is_remote:
        raise ValueError(
            f"{source.key}: {source.name} is an address: fetch the cuts; recordings in them may stay there"
        )
    if file.is_dir():
        opened = CutSet.from_shar(fields=_shar_fields(source))
    elif not file.is_file():
        raise ValueError(f"{file}: {source.absent(corpus)}")
    elif not file.name.endswith(_ENDS):
        raise ValueError(f"{file}: cuts end in {' or '.join(_ENDS)}: write them by cuts.to_file('NAME.jsonl.gz')")
    else:
        opened = CutSet.from_jsonl_lazy(file)
    found = iter(opened)
    number = 0
    while True:
        number += 1
        try:
            cut = next(found)
        except StopIteration:
            return
        except Exception as e:  # of a damaged file each library below raises its own
            why = " ".join(str(e).split())[:200] or type(e).__name__
            raise ValueError(f"{file}, cut {number} cannot be read: {why}. Write it again by lhotse") from None
        if not hasattr(cut, "supervisions"):
            raise ValueError(
                f"{file}, row {number} is a {type(cut).__name__}, not a cut: make cuts of recordings and supervisions "
                "first: lhotse cut simple -r RECORDINGS -s SUPERVISIONS CUTS.jsonl.gz"
            )
        yield cut


def _shar_fields(source: Source) -> dict[str, list[str]]:
    """The shards of cuts and of recordings; other fields, such as features, are not read."""
    folder = source.file
    cuts = sorted(map(str, folder.glob("cuts.*.jsonl*")))
    recordings = sorted(map(str, folder.glob("recording.*.tar")))
    if not cuts or len(cuts) != len(recordings):
        raise ValueError(
            f"{folder}: {len(cuts)} shards of cuts (cuts.*.jsonl.gz) and {len(recordings)} of recordings "
            "(recording.*.tar): expected as many of both. Write it by cuts.to_shar(…, fields={'recording': 'flac'})"
        )
    return {"cuts": cuts, "recording": recordings}


def _utterances(
    corpus: LhotseCorpus, source: Source, extracted: Extracted, number: int, cut: Any
) -> Iterator[RawUtterance]:
    where = f"{source.name}, cut {number}"
    root, path, fault = corpus.root.as_posix(), None, _fault(where, cut)
    if fault is None:
        audio = cut.recording.sources[0]
        if audio.type == "command":
            raise ValueError(f"{where}: {cut.id} is the output of a command, and commands are not run: {_BY_LHOTSE}")
        if audio.type == "memory":
            root, path = extracted.root, extracted.write(number, audio.source, None)
        else:
            path = str(audio.source)
    supervisions = cut.supervisions
    for one in supervisions if len(supervisions) > 1 and fault is None else [None]:
        said = one or (supervisions[0] if supervisions else None)
        start_s, end_s = (None, None) if fault else _stretch(cut, one)
        yield RawUtterance(
            id=cut.id if one is None else one.id,
            path=path,
            text=None if said is None else said.text,
            root=root,
            speaker=None if said is None else said.speaker,
            split=source.split,
            start_s=start_s,
            end_s=end_s,
            fault=fault,
        )


def _stretch(cut: Any, supervision: Any) -> tuple[float | None, float | None]:
    """Start and end in the recording, in seconds; None, None: all of it."""
    start_s, duration_s = cut.start, cut.duration
    if supervision is not None:
        start_s, duration_s = cut.start + supervision.start, supervision.duration
    if start_s < _ROUNDED_S and abs(duration_s - cut.recording.duration) < _ROUNDED_S:
        return None, None
    return max(0.0, start_s), start_s + duration_s


def _fault(where: str, cut: Any) -> Fault | None:
    """Why there is no one recording, decoded as it is, whose stretch is this cut."""
    kind = type(cut).__name__
    if kind not in ("MonoCut", "MultiCut"):
        return Fault("unreadable", f"{where}: a {kind} is made of several recordings: {_BY_LHOTSE}")
    if cut.recording is None:
        return Fault("missing_file", f"{where}: the cut has no recording")
    if getattr(cut.recording, "transforms", None):
        return Fault("unreadable", f"{where}: its recording is to be transformed: {_BY_LHOTSE}")
    if len(cut.recording.sources) != 1:
        return Fault("unreadable", f"{where}: its recording is in {len(cut.recording.sources)} files: {_BY_LHOTSE}")
    if kind == "MonoCut" and len(cut.recording.sources[0].channels) > 1:
        return Fault("unreadable", f"{where}: it is one channel of several: {_BY_LHOTSE}")
    audio = cut.recording.sources[0]
    if audio.type == "url" and scheme_of(str(audio.source)) is None:
        return Fault("missing_file", f"{where}: {audio.source} is no address of s3, gs, hf or http")
    if audio.type == "shar":
        return Fault("missing_file", f"{where}: its recording is in no shard")
    return None
