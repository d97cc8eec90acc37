"""Parameters of teachers that are trained here: from nothing, or from weights that others trained."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from kd.config.base import Strict
from kd.config.frontend import AugmentSettings, FrontEndSettings
from kd.config.layered import Dropout, Pooling
from kd.config.lora import LoRA
from kd.config.losses import ObjectiveSettings
from kd.config.models import EncoderSettings
from kd.config.training import TrainingSettings

NOTHING = "models/none"
"""A constant file; DVC depends on it where there is nothing to depend on."""

Supervision = Annotated[
    dict[str, Literal["labelled", "unlabelled"]] | None,
    Field(min_length=1, description="parts of the corpus, and whether their transcripts are seen; null: all, seen"),
]


class _FromLabels(Strict):
    """What learns from transcripts and from itself."""

    training: TrainingSettings = Field(description="how long and how it is trained")
    augment: AugmentSettings = Field(AugmentSettings(), description="what is done to its training audio")
    objective: ObjectiveSettings = Field(
        ObjectiveSettings(), description="labels, and itself: a teacher has no teacher"
    )
    supervision: Supervision = None

    @model_validator(mode="after")
    def _has_no_teacher(self) -> Self:
        if self.objective.uses_teacher:
            raise ValueError(
                "objective.beta is for students, and a teacher that is trained here has no teacher: remove it"
            )
        return self


class _NewModel(Strict):
    """Random weights of a given shape."""

    source: Literal["train"]
    path: Literal["models/none"] = Field("models/none", description="DVC watches it: here, nothing to watch")
    model: EncoderSettings = Field(description="its shape")


class TrainedTeacher(_FromLabels, _NewModel):
    """A teacher that is trained here, from labels."""  # fields of the last base come first

    frontend: FrontEndSettings | None = Field(None, description="of its features; null: the section frontend")

    @property
    def _unused(self) -> Collection[str]:
        return self._without_value("frontend")


class FineTune(_FromLabels):
    """How a pre-trained encoder and a new output layer learn this problem's units, from labels."""

    lora: LoRA | None = Field(
        None, description="low-rank adapters and the output layer learn, and nothing else; null: all weights learn"
    )

    @property
    def _unused(self) -> Collection[str]:
        return self._without_value("lora")

    @model_validator(mode="after")
    def _adapters_are_not_rounded(self) -> Self:
        if self.lora is not None and self.training.qat != "no":
            raise ValueError(f"lora: qat {self.training.qat} would round weights before they are merged: use no")
        return self


class HubModel(Strict):
    """Weights that others trained: from a folder, or by their name on the hub."""

    source: str
    path: Path
    hub: str | None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.hub is None) == (self.path == Path(NOTHING)):
            raise ValueError(
                f"path is {self.path} and hub {self.hub or 'null'}: give either a folder, or hub with path: {NOTHING}"
            )
        return self


class PretrainedTeacher(HubModel):
    """An encoder of others with a CTC or keyword head. It brings its front end, whatever the section frontend says.

    Whisper's, from a folder of transformers (config.json, model.safetensors) or of CTranslate2 (model.bin), or openai's
    .pt; wav2vec 2.0's, HuBERT's or WavLM's, from a folder of transformers, or torchaudio's file of a bundle.
    """

    source: Literal["pretrained"]
    path: Path = Field(description=f"the folder or file, which DVC watches; {NOTHING} with hub")
    hub: str | None = Field(
        None,
        description="name such as openai/whisper-small, from the hub's cache; HF_HUB_OFFLINE=0 lets a stage download",
    )
    revision: str | None = Field(None, description="branch, tag or commit on the hub; null: the newest")
    bundle: str | None = Field(
        None, description="bundle of torchaudio.pipelines, such as HUBERT_BASE, whose weights the file at path holds"
    )
    head: Literal["new", "kept"] = Field(
        "new", description="kept: its own CTC head, for characters that it knows; with pooling 1. new: a random one"
    )
    pooling: Pooling = 2
    dropout: Dropout = 0.0
    fine_tune: FineTune | None = Field(
        description="how it learns this problem's units; null: not, and students begin with it: a new head is random"
    )

    @property
    def _unused(self) -> Collection[str]:
        return [*self._without_value("hub", "revision", "bundle"), *(["head"] if self.head == "new" else [])]

    @model_validator(mode="after")
    def _a_bundle_is_a_file(self) -> Self:
        if self.bundle is not None and self.hub is not None:
            raise ValueError(f"bundle {self.bundle} is a file of torchaudio, and hub of Hugging Face: give one of them")
        return self

    @model_validator(mode="after")
    def _own_head_own_frames(self) -> Self:
        if self.head == "kept" and self.pooling != 1:
            raise ValueError(f"head: kept has learnt frames of 20 ms, but pooling is {self.pooling}: set pooling: 1")
        return self

    @model_validator(mode="after")
    def _revision_of_the_hub(self) -> Self:
        if self.hub is None and self.revision is not None:
            raise ValueError(f"revision {self.revision} is of a model on the hub: give hub, or remove revision")
        return self
