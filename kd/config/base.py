"""The base of every settings class, and ranges."""

from collections.abc import Collection
from functools import cache
from typing import Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError


def in_order(low_high: tuple[float, float]) -> tuple[float, float]:
    """The range as it is; ValueError where its lower end stands last."""
    if low_high[0] > low_high[1]:
        raise ValueError(f"the range {list(low_high)} ends before it begins: write the lower end first")
    return low_high


Range = Annotated[tuple[float, float], AfterValidator(in_order)]
"""(least, most)."""


class Strict(BaseModel):
    """A frozen record that refuses unknown keys, so that a typo is an error and never a default.

    Numbers are finite, and true and false are none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @property
    def _unused(self) -> Collection[str]:
        """Keys that say nothing here: a dump leaves them out, and so does all that is hashed of it."""
        return ()

    @model_serializer(mode="wrap")
    def _without_what_is_unused(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        unused = self._unused
        return {key: value for key, value in whole(self).items() if key not in unused}

    def _without_value(self, *keys: str) -> list[str]:
        return [key for key in keys if getattr(self, key) is None]

    @model_validator(mode="before")
    @classmethod
    def _no_boolean_for_a_number(cls, data: Any) -> Any:
        """Before the fields, since a discriminator takes no validator; the error's context names the key."""
        if isinstance(data, dict):
            for key in _numbers_of(cls):
                if _holds_boolean(data.get(key)):
                    raise PydanticCustomError("boolean_number", "a number is expected, not true or false", {"key": key})
        return data


@cache
def _numbers_of(settings: type[BaseModel]) -> tuple[str, ...]:
    """Its keys that want numbers."""
    return tuple(key for key, field in settings.model_fields.items() if _wants_number(field.annotation))


def _holds_boolean(value: Any) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return isinstance(value, bool) or any(map(_holds_boolean, inside))


def _wants_number(annotation: Any) -> bool:
    """Whether a type is made of numbers, and has no place for a boolean or for settings of their own."""
    parts = _parts(annotation)
    if any(part is bool or (isinstance(part, type) and issubclass(part, BaseModel)) for part in parts):
        return False
    return any(part in (int, float) or type(part) is int for part in parts)


def _parts(annotation: Any) -> list[Any]:
    inside = get_args(annotation)
    return [part for item in inside for part in _parts(item)] if inside else [annotation]
