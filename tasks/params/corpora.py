"""Parameters of the corpora: where audio and transcripts come from."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from kd.config.base import Range, Strict, in_order
from tasks.params.corpus_formats import CorpusOfOthers, RootedCorpus
from tasks.params.errors import did_you_mean
from tasks.params.names import require_folder_name


def _each_split(numbers: dict[str, int]) -> dict[str, int]:
    if len(numbers) < 3 or min(numbers.values()) < 1:
        raise ValueError(f"give train, valid and test, each at least 1; found {numbers}")
    return numbers


Pitch = Annotated[int, Field(ge=0, le=100)]
Seconds = Annotated[tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]], AfterValidator(in_order)]
Counts = Annotated[tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]], AfterValidator(in_order)]
PerSplit = Annotated[dict[Literal["train", "valid", "test"], int], AfterValidator(_each_split)]


class DigitPhrases(Strict):
    """Connected digits: strings of `length` digits."""

    kind: Literal["digits"]
    length: Counts = Field((3, 6), description="fewest and most digits")
    share: float = Field(1.0, gt=0, description="weight of this grammar among all")


class CommandPhrases(Strict):
    """A grammar: one alternative of each slot in turn; an empty alternative skips the slot."""

    kind: Literal["grammar"]
    slots: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] = Field(
        min_length=1, description="alternatives of each slot, in the order in which they are said"
    )
    share: float = Field(1.0, gt=0, description="weight of this grammar among all")


class ListedPhrases(Strict):
    """The user's own phrases: one a line in a text file under the corpus's root."""

    kind: Literal["list"]
    file: Path = Field(description="text file of UTF-8; relative to `root`")
    share: float = Field(1.0, gt=0, description="weight of this list among all grammars")


Phrases = Annotated[DigitPhrases | CommandPhrases | ListedPhrases, Field(discriminator="kind")]


class RoomParams(Strict):
    """Room, noise and level, drawn for each utterance."""

    reverb_share: float = Field(0.5, ge=0, le=1, description="share of the utterances that get a room's echoes")
    rt60_s: Seconds = Field((0.1, 0.5), description="range of the reverberation time")
    noise_share: float = Field(0.8, ge=0, le=1, description="share of the utterances that get noise")
    snr_db: Range = Field((5.0, 25.0), description="range of the signal-to-noise ratio")
    level_dbfs: Range = Field((-35.0, -15.0), description="range of the root-mean-square level")


class SyntheticCorpus(RootedCorpus):
    """Phrases spoken by eSpeak NG; voices and variants of validation and test are absent from training."""

    kind: Literal["synthetic"]
    phrases: tuple[Phrases, ...] = Field(min_length=1, description="grammars of what is said")
    utterances: PerSplit = Field(description="utterances of each split")
    speakers: PerSplit = Field(description="voice and variant pairs")
    words_per_minute: Counts = Field((130, 210), description="range of the speaking rate")
    pitch: Annotated[tuple[Pitch, Pitch], AfterValidator(in_order)] = Field(
        (30, 70), description="range of eSpeak's pitch, 0 to 100"
    )
    room: RoomParams = Field(RoomParams(), description="what lies between the voice and the microphone")
    seed: int = Field(1, ge=0, description="of phrases, voices and rooms")


class ManifestCorpus(RootedCorpus):
    """The user's table: path, text, and optionally speaker, split, start_s and end_s."""

    kind: Literal["manifest"]
    file: Path = Field(description="CSV, TSV, JSONL or Parquet; paths in it are relative to `root`")
    limits: dict[Literal["train", "valid", "test"], Annotated[int, Field(ge=1)]] = Field(
        {}, description="at most so many utterances of a split named in the table, drawn by their paths"
    )


LIBRISPEECH_SUBSETS = (
    "train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "dev-other", "test-clean", "test-other",
)  # fmt: skip
LIBRISPEECH_DEFAULT = ("train-clean-100", "dev-clean", "test-clean")


def _librispeech_subset(name: str) -> str:
    if name not in LIBRISPEECH_SUBSETS:
        hint = did_you_mean(name, LIBRISPEECH_SUBSETS)
        raise ValueError(f"'{name}' is no subset; {hint}there are {', '.join(LIBRISPEECH_SUBSETS)}")
    return name


class TorchaudioCorpus(RootedCorpus):
    """A data set of torchaudio by its class name, found under `root` or downloaded to it."""

    kind: Literal["torchaudio"]
    dataset: Literal["SPEECHCOMMANDS", "LIBRISPEECH", "YESNO"] = Field(description="class in torchaudio.datasets")
    download: bool = Field(False, description="true: fetch what is missing under `root`")
    subsets: tuple[Annotated[str, AfterValidator(_librispeech_subset)], ...] = Field(
        (), description=f"LIBRISPEECH only; empty there: {', '.join(LIBRISPEECH_DEFAULT)}"
    )

    @model_validator(mode="before")
    @classmethod
    def _what_is_run_is_recorded(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("dataset") == "LIBRISPEECH" and data.get("subsets", ()) in ((), []):
            return {**data, "subsets": LIBRISPEECH_DEFAULT}
        return data

    @model_validator(mode="after")
    def _only_librispeech_has_subsets(self) -> Self:
        if self.subsets and self.dataset != "LIBRISPEECH":
            raise ValueError(f"subsets belongs to LIBRISPEECH; {self.dataset} has none: remove it")
        return self


class ConnectedDigits(Strict):
    """Strings of one speaker's recordings, with pauses."""

    length: Counts = Field((3, 6), description="fewest and most digits")
    pause_s: Seconds = Field((0.02, 0.25), description="range of the pause between two digits")
    utterances_per_speaker: int = Field(400, ge=1, description="strings of each speaker, over all splits")
    seed: int = Field(1, ge=0, description="of digits and pauses")


class FsddCorpus(RootedCorpus):
    """Free Spoken Digit Dataset: a folder of its WAV files, or downloaded from its public repository."""

    kind: Literal["fsdd"]
    download: bool = Field(False, description="true: fetch it where `root` holds none")
    connected: ConnectedDigits | None = Field(None, description="null: single digits")
    test_speaker: str | None = Field(None, description="leave this speaker out; null: the official split")
    valid_speaker: str | None = Field(None, description="null: the speaker after the test speaker, in order of names")

    @model_validator(mode="after")
    def _two_speakers(self) -> Self:
        if self.valid_speaker is not None and self.test_speaker is None:
            raise ValueError(
                "valid_speaker needs test_speaker, for the official split is not by speaker: give both, or none"
            )
        if self.valid_speaker is not None and self.valid_speaker == self.test_speaker:
            raise ValueError(f"valid_speaker and test_speaker are both '{self.valid_speaker}': name two")
        return self


_Single = SyntheticCorpus | ManifestCorpus | TorchaudioCorpus | FsddCorpus | CorpusOfOthers
OneCorpus = Annotated[_Single, Field(discriminator="kind")]


class CorpusPart(Strict):
    """One corpus of several, and which of its splits are taken; one that names no split goes into the first of them."""

    corpus: OneCorpus = Field(description="as a corpus by itself")
    splits: tuple[Literal["train", "valid", "test"], ...] = Field(
        ("train", "valid", "test"), min_length=1, description="those that are taken of it"
    )


PartName = Annotated[str, AfterValidator(require_folder_name)]


class SeveralCorpora(RootedCorpus):
    """Corpora side by side, such as synthetic speech to learn from and real recordings to adapt to and test on.

    `root` is one folder that holds the roots of all parts.
    """

    kind: Literal["several"]
    parts: dict[PartName, CorpusPart] = Field(min_length=2, description="by name")


CorpusParams = Annotated[_Single | SeveralCorpora, Field(discriminator="kind")]


def part_names(corpus: CorpusParams) -> tuple[str, ...]:
    """Names by which teachers and students say what audio they use: of the parts, or the kind of the one corpus."""
    return tuple(corpus.parts) if isinstance(corpus, SeveralCorpora) else (corpus.kind,)
