"""What settings of every family share: sizes, and widths of single layers that may be given once for all."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, WithJsonSchema, model_validator

from kd.config.base import Strict

WIDTH = {"type": "integer", "minimum": 1}
Widths = Annotated[
    tuple[Annotated[int, Field(ge=1)], ...],
    Field(min_length=1),
    WithJsonSchema({"anyOf": [WIDTH, {"type": "array", "items": WIDTH, "minItems": 1}]}),
]
Size = Annotated[int, Field(ge=1)]
Dropout = Annotated[float, Field(ge=0, lt=1, description="share of a layer's outputs that is dropped in training")]
Pooling = Annotated[
    Literal[1, 2, 4, 8],
    Field(description="encoder frames of 20 ms whose mean is an output frame: CTC learns far sooner at 40 ms"),
]
MOST_LAYERS = 1_000


class PerLayer(Strict):
    """Widths of single layers, which may be given once for all `layers`."""

    per_layer: ClassVar[tuple[str, ...]] = ()
    normed: ClassVar[tuple[str, ...]] = ("layers", "width")
    """Dims that a batch or layer norm scales."""

    @model_validator(mode="before")
    @classmethod
    def _repeat_scalars(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("layers"), int):
            return data
        times = min(data["layers"], MOST_LAYERS)
        repeated = {
            name: (data[name],) * times
            for name in cls.per_layer
            if isinstance(data.get(name), int) and not isinstance(data.get(name), bool)
        }
        return {**data, **repeated}

    @model_validator(mode="after")
    def _one_width_per_layer(self) -> Self:
        for name in self.per_layer:
            given, layers = len(getattr(self, name)), getattr(self, "layers", 0)
            if given != layers:
                raise ValueError(f"{name} lists {given} widths for {layers} layers: give one, or one per layer")
        return self
