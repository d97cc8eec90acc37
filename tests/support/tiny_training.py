"""A training run small enough for tests: a few utterances of noise with random targets."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import torch
from accelerate import Accelerator
from factories import NUM_FEATURES, NUM_OUTPUTS, make_model
from torch import Tensor

from kd.config.losses import ObjectiveSettings
from kd.config.training import TrainingSettings
from kd.models import Recogniser
from kd.training import Batches, Epoch, Inputs, Objective, TrainingTask, fit


def tiny_inputs(problem: str, seed: int, teacher: Recogniser | None = None) -> Inputs:
    """Three utterances, of 40, 24 and 32 frames."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(3, 40, NUM_FEATURES, generator=generator)
    lengths = torch.tensor([40, 24, 32])
    num_targets = 3 if problem == "transcription" else 1
    low = 1 if problem == "transcription" else 0
    targets = torch.randint(low, NUM_OUTPUTS, (3, num_targets), generator=generator)
    logits = None
    if teacher is not None:
        with torch.no_grad():
            logits = teacher(features, lengths)[0]
    return Inputs(features, lengths, targets, torch.full((3,), num_targets), logits)


def tiny_batches(problem: str = "transcription", count: int = 2, teacher: Recogniser | None = None) -> Batches:
    """The same batches in every epoch, in another order in each."""
    batches = [tiny_inputs(problem, seed, teacher) for seed in range(count)]

    def epoch(index: int) -> Iterator[Inputs]:
        yield from (batches[(i + index) % count] for i in range(count))

    return Batches(epoch, count)


class TinyValidation:
    """Errors as given, one an epoch (the last for all others), with a loss that never changes; counts its calls."""

    def __init__(self, *errors: float, loss: float = 1.0) -> None:
        self.errors, self.loss, self.calls = errors or (0.5,), loss, 0

    def __call__(self, model: Recogniser) -> Mapping[str, float]:
        assert not model.training
        self.calls += 1
        return {"valid_error": self.errors[min(self.calls, len(self.errors)) - 1], "valid_loss": self.loss}


def tiny_settings(**changes: Any) -> TrainingSettings:
    return TrainingSettings.model_validate({"epochs": 4, "batch_seconds": 1.0, "device": "cpu", **changes})


def tiny_fit(model: Recogniser, settings: TrainingSettings | None = None, **changes: Any) -> Iterator[Epoch]:
    """`fit` on labels alone; changes replace its arguments and its course's, among them `objective` as settings."""
    task, arguments = tiny_course(model, settings, **changes)
    return fit(model, task, **arguments)


def tiny_course(
    model: Recogniser, settings: TrainingSettings | None = None, **changes: Any
) -> tuple[TrainingTask, dict[str, Any]]:
    """A course of labels alone with the changes that it knows, and those that are left."""
    problem, settings = model.settings.problem, settings or tiny_settings()
    given: dict[str, Any] = {
        "batches": tiny_batches(problem),
        "validate": TinyValidation(),
        "accelerator": Accelerator(cpu=True, mixed_precision=settings.precision),
    }
    objective = Objective(changes.pop("objective", ObjectiveSettings()), problem)
    known = {field.name for field in fields(TrainingTask)}
    given |= {name: value for name, value in changes.items() if name in known}
    left = {name: value for name, value in changes.items() if name not in known}
    return TrainingTask(objective, settings=settings, **given), left


def weights_of(model: Recogniser) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def fresh(name: str = "gru", problem: str = "transcription") -> Recogniser:
    """A model as every run begins with."""
    return make_model(name, problem, seed=1)


def saved_and_loaded(state: dict[str, Any]) -> dict[str, Any]:
    """As a resume file does it: without pickled objects."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded
