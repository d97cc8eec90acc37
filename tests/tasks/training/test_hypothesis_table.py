"""Hypotheses of a CTC teacher, found for each utterance."""

import math
from pathlib import Path

import pytest
import torch
from workspace import make_workspace

from kd.config.losses import FromHypotheses
from tasks.data.prepared import Batch, PreparedData
from tasks.runner.reporter import NullReporter
from tasks.training.hypothesis_table import HypothesisTable, search


def test_a_batch_has_its_rows_in_order_and_nothing_for_the_unknown() -> None:
    table = HypothesisTable({"a": [([1, 2], 3.0), ([1], 1.0)], "b": [([2], 1.0)]})
    found = table.batch(["b", "nobody", "a"])
    assert found.weights_BN.tolist() == [[1.0, 0.0], [0.0, 0.0], [0.75, 0.25]]
    assert found.targets_BNL[2, 0].tolist() == [1, 2]


@pytest.mark.parametrize("beam", [1, 4])
def test_every_utterance_gets_its_teachers_best(beam: int, tmp_path: Path) -> None:
    """A teacher that says a unit for each utterance, with 0.8 against the next one's 0.2, in its second of 3 frames."""
    data = PreparedData.load(make_workspace(tmp_path).prepared)
    utterances = data.split("train")
    units = len(data.vocabulary)

    def outputs(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        logits = torch.full((len(batch.ids), 3, units), -40.0)
        logits[:, (0, 2), 0] = 0.0
        for row, index in enumerate(batch.indices):
            said = 1 + index % (units - 2)
            logits[row, 1, said], logits[row, 1, said + 1] = math.log(0.8), math.log(0.2)
        return logits, torch.full((len(batch.ids),), 3)

    settings = FromHypotheses(name="hypotheses", n_best=min(beam, 2), beam=beam)
    table = search(outputs, data, utterances, settings, 2.5, NullReporter())
    assert set(table.rows) == {u.id for u in utterances}
    for index, utterance in enumerate(utterances):
        said = 1 + index % (units - 2)
        rows = [(list(units), pytest.approx(weight)) for units, weight in table.rows[utterance.id]]
        assert rows == ([([said], 1.0)] if beam == 1 else [([said], 1.0), ([said + 1], 0.25)])
