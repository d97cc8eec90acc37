"""The base of every settings class."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A frozen record that refuses unknown keys, so that a typo is an error and never a default."""

    model_config = ConfigDict(extra="forbid", frozen=True)
