"""The benchmark's ways to cut: each gives a network with fewer multiply-accumulates, by what it is asked to remove."""

import numpy as np
import pytest
from benchmark import load_benchmark
from pydantic import TypeAdapter

from kd.config.models import ModelSettings
from kd.config.propagation import Operator
from kd.models import build
from kd.propagation import Propagated, propagate

bench = load_benchmark("speed_follows_size")


@pytest.mark.parametrize("family", bench.FAMILIES)
def test_every_operator_leaves_fewer_macs(family: str) -> None:
    encoder = bench.FAMILIES[family] | {"layers": 4, "width": 24, "stem": 16, "dropout": 0.0}
    sizes = {"problem": "transcription", "num_features": 80, "num_outputs": 5, "encoder": encoder}
    whole = build(ModelSettings.model_validate(sizes)).eval()
    features_TF = np.zeros((40, 80), np.float32)
    macs = [bench.macs_of(whole, features_TF)]
    for operator in bench.operators(family, 0.5).values():
        (made,) = TypeAdapter(list[Operator]).validate_python([operator])
        macs.append(bench.macs_of(propagate(Propagated(whole), [made]).model, features_TF))
    assert max(macs[1:]) < macs[0]


def test_the_ratio_by_hand() -> None:
    assert bench.Case("cnn", "slice width", 0.5, 10.0, fewer_macs=4.0, faster=3.0).ratio == 0.75
