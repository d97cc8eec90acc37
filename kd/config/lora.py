"""Settings of low-rank adapters."""

from typing import Literal

from pydantic import Field

from kd.config.base import Strict

Target = Literal["query", "key", "value", "out", "expand", "contract"]


class LoRA(Strict):
    """Low-rank adaptation (Hu et al. 2021): W + alpha / rank * B A, of which B and A learn; needs the extra lora."""

    rank: int = Field(8, ge=1, description="of an adapter: rows of A, columns of B")
    alpha: float = Field(16, gt=0, description="what an adapter adds is multiplied by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of an adapter's inputs that is dropped in training")
    targets: tuple[Target, ...] = Field(
        ("query", "value"),
        min_length=1,
        description="linear layers with an adapter, in every layer of the encoder: query, key, value and out of its "
        "attention, expand and contract of its feed-forward (fc1 and fc2 in transformers)",
    )
