"""Steps composed: the indices of the source that are named are those whose weights the last model has."""

from typing import Any

import pytest
import torch
from factories import ENCODERS, make_model
from pydantic import TypeAdapter

from kd.config.propagation import Operator
from kd.propagation import Propagated, apply, propagate
from kd.propagation.compose import compose

CHAIN: list[dict[str, Any]] = [
    {"op": "slice", "keep": {"layers": 2}, "choose": "spaced"},
    {"op": "prune_weights", "sparsity": 0.2},
    {"op": "prune_units", "dims": ["hidden"], "sparsity": 0.3},
    {"op": "slice", "keep": {"layers": 1, "width": 0.5, "hidden": 3}, "choose": "last"},
]
DIMS = dict.fromkeys(("conformer", "conformer-causal", "whisper", "wav2vec2", "wav2vec2-gated"), "feed_forward")


def chain(name: str) -> list[Operator]:
    """The operators, with a dim that the family has; patch_cnn has no layers."""
    own = DIMS.get(name, "hidden")
    data = [{**o, "keep": {own if k == "hidden" else k: v for k, v in o["keep"].items()}} if "keep" in o else
            {**o, "dims": [own]} if "dims" in o else o for o in CHAIN]  # fmt: skip
    if name == "patch_cnn":
        data = [{**data[2]}, {"op": "slice", "keep": {"hidden": 2, "channels": 2}}]
    elif len(make_model(name).encoder.layers) == 2:
        data = data[1:]
    return TypeAdapter(list[Operator]).validate_python(data)


@pytest.mark.parametrize("name", ENCODERS)
def test_one_choice_of_kept_units_is_the_whole_chain(name: str) -> None:
    model = make_model(name, "keyword")
    dense = [o for o in chain(name) if o.op != "prune_weights"]
    result = propagate(Propagated(model), dense)
    left = compose(model.dimensions(), result.kept)
    at_once = apply(model, {name: torch.tensor(kept) for name, kept in left.kept.items() if kept})
    assert at_once.settings == result.model.settings
    for key, tensor in result.model.state_dict().items():
        assert torch.equal(at_once.state_dict()[key], tensor), key


def test_by_hand() -> None:
    model = make_model("gru")
    steps: list[dict[str, list[int]]] = [
        {"layers": [0, 2], "layers.2.hidden": [1, 3, 5]},
        {"new.layers": [1], "new.head": [0]},
        {},
        {"layers.1.hidden": [0, 2], "width": [4, 2]},
    ]
    left = compose(model.dimensions(), steps)
    assert left.kept["layers"] == [0, 2]
    assert left.kept["layers.0.hidden"] == list(range(10))
    assert left.kept["layers.1.hidden"] == []
    assert left.kept["layers.2.hidden"] == [1, 5]
    assert left.kept["width"] == [4, 2]
    assert left.renewed == {"layers.2", "head"}
    assert compose(model.dimensions(), [*steps, {"layers": [0]}]).renewed == {"head"}


@pytest.mark.parametrize("step", [{"heads": [0]}, {"width": [12]}, {"layers.3.hidden": [0]}])
def test_steps_of_another_model_are_refused(step: dict[str, list[int]]) -> None:
    with pytest.raises(ValueError, match="is it another model"):
        compose(make_model("gru").dimensions(), [step])
