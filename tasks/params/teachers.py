"""Parameters of further teachers: external recognisers, tables, models of ours, and ensembles."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from kd.config.base import Strict
from tasks.params.trained import NOTHING, HubModel, PretrainedTeacher

Speeds = Annotated[
    tuple[Annotated[float, Field(gt=0.5, lt=2.0)], ...],
    Field(description="other speeds at which it transcribes the audio too: second opinions for a filter"),
]
Parts = Annotated[
    tuple[str, ...] | None, Field(min_length=1, description="parts of the corpus that it transcribes; null: all")
]


class CheckpointTeacher(Strict):
    """A teacher trained by this project earlier: a folder with config.json and model.safetensors."""

    source: Literal["checkpoint"]
    path: Path = Field(description="DVC watches it: other weights there make the teacher stage stale")

    @field_validator("path")
    @classmethod
    def _names_a_teacher(cls, path: Path) -> Path:
        if path == Path(NOTHING):
            raise ValueError(f"{NOTHING} is no checkpoint: name the teacher's folder, or set source: train")
        return path


class TextTeacher(Strict):
    """A teacher that gives transcripts."""

    path: Path = Field(description="what DVC watches")
    replace: dict[str, str] = Field({}, description="what it writes to what is said, such as ' 7 ': ' seven '")
    parts: Parts = None


class TranscribingTeacher(TextTeacher):
    """One that this pipeline runs itself, and can so run on the audio at other speeds."""

    speeds: Speeds = ()


class TextOrPosteriorTeacher(TranscribingTeacher):
    """One whose posteriors of frames a student can match, too."""

    output: Literal["text", "posteriors"] = Field(
        "text", description="transcripts with a confidence; or how likely each of our units is in each frame"
    )

    @model_validator(mode="after")
    def _text_alone_is_read(self) -> Self:
        for key in ("replace", "speeds", "parts"):
            if self.output == "posteriors" and getattr(self, key):
                raise ValueError(f"{key} is for output: text; frames are of all audio as it is: remove {key}")
        return self

    @property
    def _unused(self) -> Collection[str]:
        return [] if self.output == "posteriors" else ["output"]


class WhisperTeacher(HubModel, TranscribingTeacher):
    """Whisper through faster-whisper, from a folder or by its name on the hub.

    Needs `pip install -e '.[whisper]' -c requirements.lock`.
    """

    source: Literal["whisper"]
    path: Path = Field(description=f"folder in CTranslate2's form, which DVC watches; {NOTHING} with hub")
    hub: str | None = Field(None, description="name such as tiny.en or distil-large-v3, downloaded where missing")
    initial_prompt: str | None = Field(None, description="words of the kind that occur in the audio")
    language: str = Field("en", description="what is spoken, by its code")
    beam: int = Field(5, ge=1, description="hypotheses kept in its beam search")
    compute_type: Literal["int8", "float32", "float16", "int8_float16"] = Field(
        "int8", description="arithmetic of CTranslate2"
    )
    threads: int = Field(2, ge=1, description="threads of CTranslate2")
    min_seconds: float = Field(
        1.0, ge=0, description="shorter clips are not given to it: it pads them to 30 s and makes words up"
    )


class BundleTeacher(TextOrPosteriorTeacher):
    """A CTC model of torchaudio.pipelines by its name (wav2vec 2.0, HuBERT): its transcripts, or its posteriors."""

    source: Literal["torchaudio"]
    bundle: str = Field(description="such as WAV2VEC2_ASR_BASE_960H or HUBERT_ASR_LARGE")
    path: Path = Field(description=f"its state_dict as a file, which DVC watches; {NOTHING}: torchaudio downloads it")


OnnxType = Literal["zipformer_ctc", "nemo_ctc", "wenet_ctc", "omnilingual"]
"""sherpa-onnx's names of what a CTC model takes and gives."""


class OnnxTeacher(TextOrPosteriorTeacher):
    """Any CTC model in ONNX with its tokens, as sherpa-onnx has them, and exports of this project.

    `type: nemo_ctc` needs `pip install -e '.[nemo]' -c requirements.lock`.
    """

    source: Literal["onnx"]
    path: Path = Field(description="its folder, which DVC watches")
    model: str = Field("model.onnx", description="the ONNX file in that folder")
    tokens: str = Field("tokens.txt", description="the table of its tokens there: lines of `token index`")
    type: OnnxType | None = Field(
        None, description="whose features it takes; null: as its metadata says, or the export.json beside it"
    )

    @field_validator("model", "tokens")
    @classmethod
    def _within_the_folder(cls, name: str) -> str:
        if Path(name).name != name:
            raise ValueError(f"'{name}' is no file's name: give path the folder, and here the name within it")
        return name


class TableTeacher(TextTeacher):
    """Anybody's transcripts: id or path, hypothesis, and optionally confidence and weight (n-best: several rows)."""

    source: Literal["table"]
    path: Path = Field(description="CSV, TSV, JSONL or Parquet, which DVC watches")


class CommandTeacher(TextTeacher):
    """Anybody's recogniser, run on a list of WAV files, to write the table that `source: table` reads."""

    source: Literal["command"]
    path: Path = Field(description=f"its program or folder, which DVC watches; or {NOTHING}")
    command: tuple[str, ...] = Field(
        min_length=1, description="words of the command; {files} and {table} stand for what it reads and writes"
    )
    timeout_s: float = Field(3600.0, gt=0, description="after so many seconds the command is ended")

    @model_validator(mode="after")
    def _reads_and_writes(self) -> Self:
        for word in ("{files}", "{table}"):
            if not any(word in part for part in self.command):
                raise ValueError(f"the command {list(self.command)} has no {word}: say where it stands")
        return self


class PipelineModelTeacher(TextOrPosteriorTeacher):
    """A model of this pipeline, `path: models/teacher` or a student's: its transcripts; or, as a teaching
    assistant, its posteriors, which are stored once for all who learn from it."""

    source: Literal["model"]
    path: Path = Field(description="folder of a model; one under models/ is made before")


AnyTextTeacher = WhisperTeacher | BundleTeacher | OnnxTeacher | TableTeacher | CommandTeacher | PipelineModelTeacher
OtherTeacher = Annotated[CheckpointTeacher | PretrainedTeacher | AnyTextTeacher, Field(discriminator="source")]

TEACHER_SOURCES = tuple(
    get_args(kind.model_fields["source"].annotation)[0]
    for kind in (CheckpointTeacher, PretrainedTeacher, *get_args(AnyTextTeacher))
)


def gives_posteriors(teacher: CheckpointTeacher | PretrainedTeacher | AnyTextTeacher) -> bool:
    """Whether students can match its posteriors, frame by frame."""
    return isinstance(teacher, CheckpointTeacher | PretrainedTeacher) or (
        isinstance(teacher, TextOrPosteriorTeacher) and teacher.output == "posteriors"
    )


class Ensemble(Strict):
    """Two teachers as one; an ensemble may be a member of another. Of external recognisers only max_confidence."""

    first: str = Field(description="teacher, a student, one of teachers or ensembles")
    second: str = Field(description="the other, named likewise")
    combine: Literal["mean", "max_confidence"] = Field(
        "mean", description="mean of their posteriors; or, for each utterance, the one of higher confidence"
    )
    weight: float | None = Field(None, gt=0, lt=1, description="of the first, where their mean is taken; null: a half")

    @model_validator(mode="after")
    def _two(self) -> Self:
        if self.first == self.second:
            raise ValueError(f"first and second are both '{self.first}': name two")
        if self.combine == "max_confidence" and self.weight is not None:
            raise ValueError("weight belongs to combine: mean; max_confidence has none: remove it")
        return self

    @property
    def first_share(self) -> float:
        return 0.5 if self.weight is None else self.weight


def refuse_onnx_file(teacher: Any) -> Any:
    """The section `teacher` as it is. Raises ValueError where it is a model in ONNX, whose weights nobody inherits."""
    if isinstance(teacher, dict) and teacher.get("source") == "onnx":
        raise ValueError(
            "source: onnx is a file, and students begin from this section's weights: name it under teachers, as "
            "teachers: {file: {source: onnx, path: …, output: posteriors}}, and let students name that as their teacher"
        )
    return teacher
