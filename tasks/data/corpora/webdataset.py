"""Archives of WebDataset: files that share the name before the first dot are one sample (its format's definition).

lhotse reads such archives only where it pickled cuts into them itself, and no pickle of others is loaded here.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tasks.data.corpora.archives import Content, members, short_text
from tasks.data.corpora.extracted import SUFFIXES, Extracted
from tasks.data.corpora.huggingface import SPEAKERS, TEXTS
from tasks.data.corpora.raw import Fault, Place, RawUtterance
from tasks.data.corpora.sources import Source, sources
from tasks.data.tables.cells import format_cell
from tasks.params.corpus_formats import WebDatasetCorpus


@dataclass
class _Sample:
    """What has been met of one. facts: values of its .json; texts: by extension."""

    key: str
    audio: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    wrong: str | None = None


def webdataset_rows(corpus: WebDatasetCorpus, place: Place) -> Iterator[RawUtterance]:
    """A row for each sample that is not empty; its recording is written to data/raw/ as it is.

    Raises ValueError naming the archive where it is none, or is damaged.
    """
    for number, source in enumerate(sources(corpus.files, corpus, place)):
        extracted = Extracted(place, f"{source.split or 'all'}-{number:05d}")
        samples = _samples(corpus, source, extracted)
        for sample in place.reporter.progress(samples, label=source.name):
            yield _utterance(corpus, source, extracted, sample)


def _samples(corpus: WebDatasetCorpus, source: Source, extracted: Extracted) -> Iterator[_Sample]:
    sample, count = None, 0
    for name, content in members(source, corpus):
        key, extension = split_name(name)
        if sample is None or sample.key != key:
            if sample is not None:
                yield sample
            sample, count = _Sample(key), count + 1
        _add(sample, extension, content, extracted, count, corpus)
    if sample is not None:
        yield sample


def split_name(name: str) -> tuple[str, str]:
    """Such as (a/b, flac) of a/b.flac, and (b, json) of b.JSON."""
    folder, slash, last = name.rpartition("/")
    key, _, extension = last.partition(".")
    return f"{folder}{slash}{key}", extension.lower()


def _add(
    sample: _Sample, extension: str, content: Content, extracted: Extracted, number: int, corpus: WebDatasetCorpus
) -> None:
    if f".{extension}" in SUFFIXES:
        sample.audio.append(extension)
        if len(sample.audio) == 1:
            sample.paths.append(extracted.copy(number, content, f"x.{extension}"))
        return
    if extension not in ("json", "txt", corpus.text):
        return
    try:
        text = short_text(content)
        if extension == "json":
            found = json.loads(text)
            sample.facts = found if isinstance(found, dict) else {}
        else:
            sample.texts[extension] = text.strip()
    except (ValueError, RecursionError) as error:
        sample.wrong = f"its .{extension} cannot be read: {str(error)[:100]}"


def _utterance(corpus: WebDatasetCorpus, source: Source, extracted: Extracted, sample: _Sample) -> RawUtterance:
    where, fault = f"{source.name}, {sample.key}", None
    text, odd_text = _text(corpus, sample)
    speaker, odd_speaker = _said(sample, SPEAKERS)
    wrong = sample.wrong or odd_text or odd_speaker
    if not sample.audio:
        fault = Fault("missing_file", f"{where}: no audio: expected one file of {', '.join(SUFFIXES)}")
    elif len(sample.audio) > 1:
        fault = Fault("unreadable", f"{where}: several recordings: {', '.join(sample.audio)}: leave one")
    elif wrong is not None:
        fault = Fault("unreadable", f"{where}: {wrong}")
    return RawUtterance(
        id=f"{source.split or 'all'}-{source.label}-{sample.key}",  # keys may begin anew in each archive
        path=sample.paths[0] if sample.paths else None,
        text=text,
        root=extracted.root,
        speaker=speaker,
        split=source.split,
        fault=fault,
    )


def _text(corpus: WebDatasetCorpus, sample: _Sample) -> tuple[str | None, str | None]:
    """The transcript, of a file or of the .json; and what is wrong with it."""
    names = ("txt", *TEXTS) if corpus.text is None else (corpus.text,)
    found = next((sample.texts[name] for name in names if name in sample.texts), None)
    return (found, None) if found is not None else _said(sample, names)


def _said(sample: _Sample, names: Iterable[str]) -> tuple[str | None, str | None]:
    """What the .json says under the first of these keys that it has; and what is wrong with it."""
    name = next((name for name in names if sample.facts.get(name) is not None), None)
    if name is None:
        return None, None
    found = sample.facts[name]
    if isinstance(found, str) or (isinstance(found, int) and not isinstance(found, bool)):
        return str(found), None
    return None, f"{name} in its .json is {format_cell(json.dumps(found))}: expected a text or a whole number"
