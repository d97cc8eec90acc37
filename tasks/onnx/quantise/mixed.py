"""Where whole 8-bit forms are refused: which layers suffer most, and a form with those left in float."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from tasks.data.prepared import Utterance
from tasks.onnx.forms_table import divergence
from tasks.onnx.onnx_decoder import OnnxDecoder
from tasks.onnx.quantise.convert import Quantiser


def sensitivity(
    quantiser: Quantiser, form: str, reference: Path, decoder: OnnxDecoder, utterances: Sequence[Utterance]
) -> dict[str, float]:
    """Divergence per frame from float32, in nats, when that layer alone has 8 bits; the most sensitive first."""
    whole = decoder.open(reference)
    inputs = [decoder.inputs(utterance) for utterance in utterances]
    expected = [whole.of_inputs(x) for x in inputs]
    frames = sum(map(len, expected))
    target = reference.with_name("one_layer.onnx")
    found: dict[str, float] = {}
    for layer in quantiser.layers(form):
        quantiser.write(form, target, [layer])
        alone = decoder.open(target)
        sums = [divergence(before, alone.of_inputs(x)) for before, x in zip(expected, inputs, strict=True)]
        found[layer] = float(np.sum(sums)) / frames
    target.unlink(missing_ok=True)
    return dict(sorted(found.items(), key=lambda item: (-_rank(item[1]), item[0])))


def first_that_passes(order: Sequence[str], passes: Callable[[Sequence[str]], bool]) -> tuple[str, ...] | None:
    """Fewest of 1, 2, 4, … touchiest layers that must stay in float; None where no proper part of them suffices."""
    return next((tuple(left) for left in _more_and_more(order) if passes(left)), None)


def _more_and_more(order: Sequence[str]) -> Iterator[Sequence[str]]:
    count = 1
    while count < len(order):
        yield order[:count]
        count *= 2


def _rank(value: float) -> float:
    """What is not a number is worst."""
    return float("inf") if np.isnan(value) else value
