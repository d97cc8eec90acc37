"""params.yaml as frozen types. What must hold between sections is in checks; tasks.params.load reads files by both."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from kd.config.base import Strict
from kd.config.filtering import FilterSettings
from kd.config.frontend import AugmentSettings, FrontEndSettings
from kd.config.losses import ObjectiveSettings
from kd.config.models import EncoderSettings
from kd.config.propagation import Operator
from kd.config.shrink import Shrink
from kd.config.training import TrainingSettings
from kd.text.writing import composed
from tasks.params.corpora import CorpusParams
from tasks.params.evaluation import EvaluationParams
from tasks.params.export import ExportParams
from tasks.params.names import require_folder_name
from tasks.params.teachers import CheckpointTeacher, Ensemble, OtherTeacher, refuse_onnx_file
from tasks.params.trained import NOTHING, PretrainedTeacher, Supervision, TrainedTeacher

RESERVED_NAMES = ("teacher", "random", "none", "initial")


Alphabet = Annotated[str, AfterValidator(composed), Field(min_length=1)]
"""Letters in their composed form, in which transcripts are compared with them, however the file writes them."""

LETTERS = "abcdefghijklmnopqrstuvwxyz' "


class CharacterUnits(Strict):
    """CTC over characters; what is not in the alphabet goes to quarantine."""

    kind: Literal["characters"]
    alphabet: Alphabet = Field(LETTERS, description="letters of transcripts; a space parts words")


class SentencePieceUnits(Strict):
    """CTC over SentencePiece units, learnt from the training transcripts."""

    kind: Literal["sentencepiece"]
    size: int = Field(64, ge=8, description="units, without the blank")
    type: Literal["unigram", "bpe"] = Field(
        "unigram", description="how they are learnt; of bpe the order of tokens.txt says how words are cut into units"
    )
    alphabet: Alphabet = Field(LETTERS, description="letters of transcripts; a space parts words")

    @property
    def _unused(self) -> Collection[str]:
        return ["type"] if self.type == "unigram" else []


class TokenUnits(Strict):
    """CTC over another recogniser's tokens, so that its frames can be matched one by one."""

    kind: Literal["tokens"]
    file: Path = Field(description="its tokens.txt, lines of `token index`, relative to corpus.root, which DVC watches")
    alphabet: Alphabet = Field(LETTERS, description="letters of transcripts; a space parts words")


class TranscriptionProblem(Strict):
    """Speech to text by CTC."""

    kind: Literal["transcription"]
    units: Annotated[
        CharacterUnits | SentencePieceUnits | TokenUnits,
        Field(discriminator="kind", description="what the outputs of a model stand for"),
    ]


class KeywordProblem(Strict):
    """One label per utterance: its whole transcript. Labels are those of the training part."""

    kind: Literal["keyword"]


class SplitParams(Strict):
    """How speakers are divided where the corpus names no split."""

    valid_share: float = Field(
        0.1, gt=0, lt=0.5, description="share of the utterances for validation, by whole speakers"
    )
    test_share: float = Field(0.2, gt=0, lt=0.5, description="share of the utterances for the test, by whole speakers")
    seed: int = Field(1, ge=0, description="of the order in which speakers are taken")


class PreprocessParams(Strict):
    """How audio and transcripts are prepared for training and validation; test audio stays as it was recorded."""

    trim_db: float | None = Field(40.0, gt=0, description="cut edges quieter than this below the peak; null: keep")
    level_dbfs: float | None = Field(-23.0, lt=0, description="root-mean-square level after scaling; null: keep")
    min_seconds: float = Field(0.1, gt=0, description="shorter audio goes to quarantine")
    max_seconds: float = Field(20.0, gt=0, description="what is longer, `too_long` decides")
    too_long: Literal["quarantine", "crop", "split"] = Field(
        "quarantine", description="crop and split only without transcripts or for keywords"
    )
    frame_ms: float = Field(40.0, gt=0, description="longest step of any model's frames: CTC must align at it")
    lowercase: bool = Field(True, description="capitals of transcripts become small")
    strip_punctuation: bool = Field(True, description="punctuation that is not in the alphabet becomes a space")
    language: str | None = Field(
        None,
        pattern="^[a-z]{2,3}(-[A-Za-z0-9]+)*$",
        description="how capitals become small: of tr and az İ becomes i and I becomes ı; null: as Unicode says",
    )
    replace: dict[Annotated[str, Field(min_length=1)], str] = Field(
        {}, description="what is written to how it is read, such as '%': percent; signs without a reading are refused"
    )
    max_quarantined_share: float = Field(0.1, ge=0, le=1, description="above it the stage stops")
    unlabelled: Literal["quarantine", "keep"] = Field(
        "quarantine", description="keep: audio without a transcript trains students that learn from a teacher"
    )
    workers: int = Field(0, ge=0, description="processes; 0: one for each core")
    splits: SplitParams = Field(SplitParams(), description="where the corpus names none")

    @property
    def _unused(self) -> Collection[str]:
        return [key for key in ("language", "replace") if not getattr(self, key)]

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        if self.min_seconds >= self.max_seconds:
            raise ValueError(f"min_seconds {self.min_seconds} is not below max_seconds {self.max_seconds}: lower it")
        return self


Teacher = Annotated[
    Annotated[TrainedTeacher | CheckpointTeacher | PretrainedTeacher, Field(discriminator="source")],
    BeforeValidator(refuse_onnx_file),
]


class Recipe(Strict):
    """One student: where its weights come from, and what it learns from."""

    init: str = Field(description="random, teacher, or another student's name")
    model: EncoderSettings | None = Field(None, description="its shape; with init: random, and only then")
    frontend: FrontEndSettings | None = Field(
        None, description="of its features, with init: random; null: the section frontend. Others have their source's"
    )
    operators: tuple[Operator, ...] = Field((), description="applied in this order to what `init` names")
    teacher: str = Field(description="whom it learns from: none, teacher, a student, one of teachers or ensembles")
    objective: ObjectiveSettings = Field(ObjectiveSettings(), description="labels, its teacher, itself")
    filter: FilterSettings | None = Field(
        None,
        description="of the transcripts of a teacher that gives text. Left out: {}, the filter with its defaults; "
        "null, written: no filter, all that CTC can align",
    )
    supervision: Supervision = None
    training: TrainingSettings | None = Field(None, description="null: student_training")
    shrink: Shrink | None = Field(None, description="on the way of its training; null: it keeps its size")

    @property
    def _unused(self) -> Collection[str]:
        return self._without_value("shrink", "frontend")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.init == "random" and self.model is None:
            raise ValueError("init: random needs a shape for the new network: give model")
        if self.init == "random" and self.operators:
            raise ValueError(
                "operators act on given weights, which init: random has not: remove them, and name a smaller model"
            )
        if self.init != "random" and self.model is not None:
            raise ValueError(f"the shape follows from init: {self.init} and the operators: remove model")
        if self.init != "random" and self.frontend is not None:
            raise ValueError(f"features are those of init: {self.init}: remove frontend")
        if self.teacher == "none" and self.objective.uses_teacher:
            raise ValueError(
                f"objective.beta is {self.objective.beta} but teacher is none: name a teacher, or set beta: 0"
            )
        if self.teacher != "none" and not self.objective.uses_teacher:
            raise ValueError(f"teacher is {self.teacher} but objective.beta is 0: set beta, or teacher: none")
        return self


def _usable_name(name: str) -> str:
    return require_folder_name(name, reserved=RESERVED_NAMES)


StudentName = Annotated[str, AfterValidator(_usable_name)]


class LogitCacheParams(Strict):
    """How a teacher's logits are stored for its students."""

    top_k: int | None = Field(
        64, ge=1, description="likeliest units of a frame, beside the mass of the rest; null, or where smaller: all"
    )


class Params(Strict):
    """The sections of params.yaml."""

    name: str = Field("default", description="the experiment's name in MLflow")
    problem: Annotated[
        TranscriptionProblem | KeywordProblem, Field(discriminator="kind", description="what is recognised")
    ]
    corpus: CorpusParams = Field(description="where audio and transcripts come from")
    preprocess: PreprocessParams = Field(description="how they are prepared; {}: by the defaults")
    frontend: FrontEndSettings = Field(description="features of audio, of new models that name no other")
    teacher: Teacher = Field(description="the big model that students come from and learn from")
    teachers: dict[StudentName, OtherTeacher] = Field({}, description="further ones, which students name")
    ensembles: dict[StudentName, Ensemble] = Field({}, description="two teachers as one")
    student_training: TrainingSettings = Field(description="of students whose recipe names no training")
    student_augment: AugmentSettings = Field(description="what is done to the training audio of all students")
    logit_cache: LogitCacheParams = Field(LogitCacheParams(), description="how teachers' logits are stored")
    students: dict[StudentName, Recipe] = Field(min_length=1, description="recipes by name")
    export: ExportParams = Field(description="the ONNX files")
    evaluation: EvaluationParams = Field(description="how models are judged")


READ_BY_DVC = ((Params, "name", "default"), (TrainedTeacher, "teacher.path", NOTHING), (Params, "logit_cache", "{}"))
"""Keys that have a default, but must be written, since DVC reads the file alone: whose they are, path, default."""
