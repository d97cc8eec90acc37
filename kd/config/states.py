"""Which inner states of student and teacher meet. The first layer is 1, the last one's state is what the head gets."""

from typing import Literal

from kd.config.losses import Features, ObjectiveSettings, Relational
from kd.config.models import EncoderSettings, PatchCNNSettings

LayerPair = tuple[int, int]
"""A layer of the student, and a layer of the teacher."""

NEEDS_STATES = ("features", "relational")
DEFAULT_LAYERS = 2


def state_widths(encoder: EncoderSettings) -> tuple[int, ...]:
    """Features of each layer's state. patch_cnn has one, of a single frame: the embedding that its head gets."""
    return (encoder.hidden,) if isinstance(encoder, PatchCNNSettings) else (encoder.width,) * encoder.layers


def layer_pairs(settings: Features, student: int, teacher: int) -> tuple[LayerPair, ...]:
    """The pairs of layers that are compared, of a student and a teacher of so many layers each.

    Of n pairs, the i-th takes layer round(i * layers / n) of each side. Raises ValueError for layers that
    are not there.
    """
    require_layers(settings, "student", student)
    require_layers(settings, "teacher", teacher)
    if settings.pairs is not None:
        return settings.pairs
    wanted = settings.layers or min(DEFAULT_LAYERS, student, teacher)
    return tuple((_spaced(i, wanted, student), _spaced(i, wanted, teacher)) for i in range(1, wanted + 1))


def require_layers(settings: Features, side: Literal["student", "teacher"], count: int) -> None:
    """Raises ValueError where one side has not the layers that are named, or fewer than are to be paired."""
    place = ("student", "teacher").index(side)
    if settings.pairs is not None:
        deepest, what = max(pair[place] for pair in settings.pairs), "names layer {} of"
    else:
        deepest, what = settings.layers or 1, "asks for {} pairs of layers with"
    if deepest > count:
        only = "1 (of patch_cnn: what its head gets)" if count == 1 else str(count)
        raise ValueError(f"features {what.format(deepest)} the {side}, which has {only}: use no more")


def layers_read(objective: ObjectiveSettings, student: int, teacher: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Layers of the student and of the teacher whose states the objective's losses read."""
    found: tuple[set[int], set[int]] = (set(), set())
    if objective.uses_teacher:
        if objective.features is not None:
            for pair in layer_pairs(objective.features, student, teacher):
                for side, layer in zip(found, pair, strict=True):
                    side.add(layer)
        if any(isinstance(distill, Relational) for distill in objective.distill_losses):
            found[0].add(student)
            found[1].add(teacher)
    return tuple(sorted(found[0])), tuple(sorted(found[1]))


def _spaced(i: int, of: int, layers: int) -> int:
    """The i-th of so many layers spread over all, half rounded up; the last is the last."""
    return (2 * i * layers + of) // (2 * of)
