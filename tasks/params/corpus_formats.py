"""Parameters of corpora in the formats of other tools."""

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from kd.config.base import Strict


def _narrow(root: Path) -> Path:
    if root.is_absolute() and len(Path(os.path.normpath(root)).parts) == 1:
        raise ValueError(
            f"{root} is the whole machine, all of which DVC would watch: name a folder of recordings in it"
        )
    return root


class RootedCorpus(Strict):
    """What every corpus has."""

    root: Annotated[Path, AfterValidator(_narrow)] = Field(
        description="folder that DVC watches: a change in it makes the corpus stage stale"
    )
    licence: str | None = Field(None, description="of the recordings, for the model cards; null: what is known of it")


def _some(files: dict[str, str]) -> dict[str, str]:
    if empty := [split for split, name in files.items() if not name.strip()]:
        raise ValueError(f"{empty[0]} names nothing: write a path, or leave {empty[0]} out")
    return files


FilePart = Literal["train", "valid", "test", "all"]
BySplit = Annotated[dict[FilePart, str], Field(min_length=1), AfterValidator(_some)]
"""Paths by the part that they are of; those of `all` are divided by preprocess.splits."""


class NemoCorpus(RootedCorpus):
    """Manifests of NeMo: one JSON object a line with audio_filepath, text, and optionally offset, duration, speaker."""

    kind: Literal["nemo"]
    files: BySplit = Field(
        description="manifests of each part, or of `all`, which preprocess.splits divides; relative to `root`, or "
        "addresses (s3://…); `*` stands for several. Audio is relative to its manifest"
    )
    text_field: str = Field("text", min_length=1, description="key of the transcript; of keywords `label` or `command`")
    tars: Annotated[dict[FilePart, str], AfterValidator(_some)] = Field(
        {},
        description="archives of each part whose audio lies in some, as in NeMo's tarred data sets; where there are as "
        "many as manifests, each belongs to the manifest of its place",
    )

    @model_validator(mode="after")
    def _archives_of_manifests(self) -> Self:
        if alone := [part for part in self.tars if part not in self.files]:
            raise ValueError(f"tars.{alone[0]} has no manifest: name it in files.{alone[0]}")
        return self


class KaldiCorpus(RootedCorpus):
    """Data folders of Kaldi: wav.scp without commands, text, and optionally segments and utt2spk."""

    kind: Literal["kaldi"]
    folders: BySplit = Field(
        description="data folder of each part, or of `all`, which preprocess.splits divides; relative to `root`, as "
        "are the recordings in wav.scp"
    )


class CommonVoiceCorpus(RootedCorpus):
    """A language of Common Voice as it is unpacked: tables with client_id, path and sentence, and a folder of clips."""

    kind: Literal["common_voice"]
    files: BySplit = Field(
        {"train": "train.tsv", "valid": "dev.tsv", "test": "test.tsv"},
        description="tables of each part, or of `all`, such as validated.tsv; relative to `root`",
    )
    clips: str = Field("clips", min_length=1, description="folder of the recordings, beside each table")


class HuggingFaceCorpus(RootedCorpus):
    """A data set of Hugging Face as Parquet with the bytes of its audio: files here, or on the hub by its name."""

    kind: Literal["huggingface"]
    files: BySplit = Field(
        description="Parquet files of each part, or of `all`, which preprocess.splits divides; relative to `root`, or "
        "within the data set on the hub, or addresses (s3://…); `*` stands for several"
    )
    hub: str | None = Field(
        None,
        pattern=r"^[\w.-]+(/[\w.-]+)?$",
        description="name of a data set on the hub, such as PolyAI/minds14; null: the files are here",
    )
    revision: str = Field(
        "refs/convert/parquet",
        min_length=1,
        description="branch, tag or commit on the hub; the default is where the hub keeps data sets as Parquet, in "
        "`CONFIG/SPLIT/*.parquet`",
    )
    audio: str | None = Field(None, description="column of the recordings; null: the one that has bytes of audio")
    text: str | None = Field(
        None, description="column of the transcripts or classes; null: sentence, text, transcription or transcript"
    )
    speaker: str | None = Field(None, description="column of the speakers; null: speaker_id, speaker or client_id")


class LhotseCorpus(RootedCorpus):
    """Cuts of lhotse (extra `lhotse`): manifests of cuts, or folders in its Shar format."""

    kind: Literal["lhotse"]
    files: BySplit = Field(
        description="manifest of cuts (.jsonl, .jsonl.gz) or Shar folder of each part, or of `all`, which "
        "preprocess.splits divides; relative to `root`, as are the recordings that a manifest names; `*` stands for "
        "several"
    )


class WebDatasetCorpus(RootedCorpus):
    """Tar archives of WebDataset: the files of a sample share their name, one is a recording, others say what it is."""

    kind: Literal["webdataset"]
    files: BySplit = Field(
        description="archives of each part, or of `all`, which preprocess.splits divides; relative to `root`, or "
        "addresses (s3://…); `*` stands for several"
    )
    text: str | None = Field(
        None,
        description="extension of the file with the transcript or class, or key in the .json; null: the file .txt, or "
        "sentence, text, transcription or transcript in the .json",
    )


CorpusOfOthers = NemoCorpus | KaldiCorpus | CommonVoiceCorpus | HuggingFaceCorpus | LhotseCorpus | WebDatasetCorpus


def paths_by_part(corpus: CorpusOfOthers) -> tuple[str, dict[FilePart, str]]:
    """The key that names what is read of each part, and what it names."""
    return ("folders", corpus.folders) if isinstance(corpus, KaldiCorpus) else ("files", corpus.files)
