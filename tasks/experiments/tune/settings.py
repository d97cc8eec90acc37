"""A search file: what may vary, what is wanted, and how many trials it may take."""

import json
import math
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from kd.config.base import Strict
from kd.config.renamed import in_old_words
from tasks.metric_names import ERROR_KINDS, error_name
from tasks.params.errors import ParamsError, explain
from tasks.params.overrides import ABOUT_OVERRIDES, ABOUT_PARAMS, read_with_overrides

Scalar = bool | int | float | str | None
Point = Mapping[str, Scalar]
"""A trial's values by key of the space; of a choice that has a name, its name."""

SAMPLES = 64


class Knob(Strict):
    """One key of the space: some choices, or a range. Both ends belong to a range; whole ends give whole numbers."""

    model_config = ConfigDict(serialize_by_alias=True)

    choices: Annotated[tuple[Any, ...], Field(min_length=1)] | Annotated[dict[str, Any], Field(min_length=1)] | None = (
        Field(None, description="values, or values with names (for lists and mappings)")
    )
    low: int | float | None = Field(None, alias="from", description="the smallest value of a range")
    high: int | float | None = Field(None, alias="to", description="the largest value of a range")
    log: bool = Field(False, description="true: by ratio, so that 1 to 10 is as likely as 10 to 100")
    step: Annotated[int, Field(gt=0)] | Annotated[float, Field(gt=0)] | None = Field(
        None, description="between neighbouring values of a range; null: any value"
    )
    when: dict[str, tuple[Any, ...]] = Field({}, description="only where keys above it have one of these values")

    @model_validator(mode="after")
    def _choices_or_range(self) -> Self:
        if (self.choices is None) == (self.low is None and self.high is None):
            raise ValueError("give either choices: […], or from and to")
        if self.choices is not None:
            self._check_choices()
        elif self.low is None or self.high is None or self.low >= self.high:
            raise ValueError(
                f"a range needs from below to, found from {self.low} to {self.high}: give both, the smaller first"
            )
        elif not math.isfinite((float(self.high) - float(self.low)) / (self.step or 1)):
            raise ValueError(
                f"from {self.low} to {self.high} by {self.step or 1} are more steps than can be counted: give a "
                "narrower range"
            )
        elif self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log: true needs from above 0, and no step: raise from, remove step, or remove log")
        return self

    def _check_choices(self) -> None:
        if self.log or self.step is not None:
            raise ValueError(
                "log and step are for a range, not for choices: remove them, or give from and to in place of choices"
            )
        for value in self.choices if isinstance(self.choices, tuple) else ():
            if not isinstance(value, Scalar):
                raise ValueError(f"the choice {value!r} needs a name: write choices: {{NAME: {value!r}, …}}")

    @property
    def labels(self) -> tuple[Scalar, ...]:
        """What Optuna chooses from."""
        return tuple(self.choices or ())

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int) and isinstance(self.step, int | None)

    def value(self, label: Scalar) -> Any:
        """What params get where a trial has this label."""
        return self.choices[str(label)] if isinstance(self.choices, dict) else label


class Goal(Strict):
    """How far a student's error rate may be above the teacher's on the validation part."""

    relative: float | None = Field(None, ge=0, description="as a share of the teacher's error: 0.1 for 10 %")
    points: float | None = Field(None, ge=0, description="percentage points")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.relative is None) == (self.points is None):
            raise ValueError("give either relative or points, and not both")
        return self

    def limit(self, teacher_error: float) -> float:
        """The largest validation error that is good enough."""
        if self.relative is not None:
            return teacher_error * (1 + self.relative)
        return teacher_error + (self.points or 0.0) / 100

    def __str__(self) -> str:
        more = f"{self.relative:g} of it" if self.relative is not None else f"{self.points:g} points"
        return f"at most the teacher's error and {more}"


class Search(Strict):
    """Trials of one student: what may vary, and what is made as small as can be."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9_-]+$", max_length=100, description="names its folder, its table and its runs"
    )
    params: dict[str, Any] | str = Field(description=ABOUT_PARAMS)
    overrides: dict[str, Any] = Field({}, description=ABOUT_OVERRIDES)
    student: str = Field(description="the one that is tried: a key of students")
    space: dict[str, Knob] = Field(min_length=1, description="by dotted key of params, list items by number")
    measure: Literal["params", "size_bytes", "macs_per_audio_second", "latency_ms"] = Field(
        "params",
        description="of a student: parameters, bytes of its float32 file, multiply-accumulates a second of audio, "
        "or milliseconds (median of an utterance, one thread, front end counted)",
    )
    minimise: Literal["both", "valid_wer", "valid_keyword_error", "measure"] = Field(
        "both", description="both: the front of error rate and measure; measure: needs a goal"
    )
    goal: Goal | None = Field(None, description="what is good enough; null: nothing is said of that")
    at_most: float | None = Field(
        None,
        gt=0,
        description="of the measure; larger students are refused: before training, or after it where they shrink",
    )
    trials: int = Field(ge=1, description="finished ones; what is invalid or too large does not count")
    seed: int = Field(1, ge=0, description="of the points that are tried; trainings have seeds of their own")
    stop_early: bool = Field(
        False, description="end what has more errors than the median had; where an error rate alone is minimised"
    )

    @model_validator(mode="before")
    @classmethod
    def _error_says_of_what(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("minimise") == "error":
            name = error_name("valid_error", _error_kind(data.get("params")) or "wer")
            raise ValueError(f"minimise: 'error' is renamed to '{name}'")
        return data

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        kind = _error_kind(self.params)
        if self.minimises_error and kind and self.minimise != (name := error_name("valid_error", kind)):
            raise ValueError(
                f"minimise: the problem of these params has {name}, and no {self.minimise}: write minimise: {name}"
            )
        if self.minimise == "measure" and self.goal is None:
            raise ValueError("minimise: measure alone ends at a student that recognises nothing: add a goal")
        if self.stop_early and not self.minimises_error:
            name = error_name("valid_error", kind or "wer")
            raise ValueError(f"stop_early is for minimise: {name}, but minimise is {self.minimise}: remove stop_early")
        students = self.params.get("students", {}) if isinstance(self.params, dict) else {self.student: None}
        if self.student not in students:
            there = ", ".join(map(str, students)) if students else "of which there is none"
            raise ValueError(f"student: params has no student '{self.student}': name one of its students, {there}")
        return self

    @model_validator(mode="after")
    def _conditions_come_first(self) -> Self:
        known: dict[str, Knob] = {}
        for key, knob in self.space.items():
            for other, wanted in knob.when.items():
                if other not in known or known[other].choices is None:
                    raise ValueError(
                        f"space.{key}.when: {other} is no choice that stands above it in space: move it there, or "
                        "remove it from when"
                    )
                if missing := [label for label in wanted if label not in known[other].labels]:
                    raise ValueError(
                        f"space.{key}.when: {other} has no choice {missing[0]!r}: name some of {[*known[other].labels]}"
                    )
            known[key] = knob
        return self

    @property
    def minimises_error(self) -> bool:
        """Whether an error rate alone is made as low as can be."""
        return self.minimise not in ("both", "measure")

    @property
    def error_kind(self) -> str:
        """What errors are counted in: see `tasks.metric_names`. The params have been checked."""
        kind = _error_kind(self.params)
        assert kind is not None
        return kind

    @property
    def digest(self) -> str:
        """Of the file's words that trials depend on: with another one, none of the old are taken over.

        Files of the corpus, weights of adopted teachers and code are not in it: give a search another name when they
        change.
        """
        values = self.model_dump(mode="json", exclude={"trials", "goal", "stop_early"})
        values["overrides"] = {}  # they are in params
        return blake2b(json.dumps(in_old_words(values), sort_keys=True).encode(), digest_size=4).hexdigest()


def _error_kind(params: Any) -> str | None:
    """None where params are not what they should be, which is said elsewhere."""
    problem = params.get("problem") if isinstance(params, dict) else None
    kind = problem.get("kind") if isinstance(problem, dict) else None
    return ERROR_KINDS.get(kind) if isinstance(kind, str) else None


def load_search(file: Path) -> Search:
    """Read and check a search; raises ParamsError with one line for each mistake.

    A path in `params` is read from the project's folder, from which the command is called.
    """
    try:
        return Search.model_validate(read_with_overrides(file))
    except ValidationError as error:
        raise ParamsError(explain(error, Search)) from None


def check_jobs(search: Search, jobs: int) -> None:
    """Raises ParamsError where trials side by side would spoil what is measured."""
    if search.measure == "latency_ms" and jobs > 1:
        raise ParamsError(
            [
                f"measure: latency_ms would be timed beside other trainings of --jobs {jobs}: set --jobs 1, or measure "
                "another"
            ]
        )


def active(knob: Knob, point: Point) -> bool:
    """Whether a key belongs to a point, given the keys above it."""
    return all(key in point and point[key] in wanted for key, wanted in knob.when.items())


def random_points(search: Search, count: int = SAMPLES) -> Iterator[dict[str, Scalar]]:
    """Points of the space, to see before any trial whether it makes sense."""
    generator = Random(search.seed)
    for _ in range(count):
        point: dict[str, Scalar] = {}
        for key, knob in search.space.items():
            if active(knob, point):
                point[key] = generator.choice(knob.labels) if knob.choices is not None else _between(knob, generator)
        yield point


def _between(knob: Knob, generator: Random) -> int | float:
    assert knob.low is not None
    assert knob.high is not None
    if knob.step is not None:
        return knob.low + knob.step * generator.randint(0, int((knob.high - knob.low) / knob.step))
    return generator.randint(int(knob.low), int(knob.high)) if knob.whole else generator.uniform(knob.low, knob.high)
