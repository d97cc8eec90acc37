"""Parameters of the canary: a general test set beside the corpus's own test part."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from kd.config.base import Strict
from tasks.params.corpora import OneCorpus
from tasks.params.names import require_folder_name

NONE = "none"
"""canary/none is a constant file, so that the folder is there where no canary is."""


def _usable_name(name: str) -> str:
    return require_folder_name(name, reserved=(NONE,))


CanaryName = Annotated[str, AfterValidator(_usable_name)]


class CanaryParams(Strict):
    """A test set that nothing is trained on or chosen by; its speakers are in neither training nor validation part."""

    corpus: OneCorpus = Field(description="where its audio and transcripts come from, as of the corpus itself")
    split: Literal["train", "valid", "test"] = Field(
        "test", description="which of its splits is taken, with all utterances that name none"
    )
    limit: int | None = Field(None, ge=1, description="at most so many utterances, drawn by their ids; null: all")
