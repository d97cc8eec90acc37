"""Teachers' hypotheses, by utterance: found in a CTC teacher's outputs, or brought from outside."""

import math
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from kd.config.losses import FromHypotheses
from kd.teachers.hypotheses import Hypotheses, Row
from kd.text.decoding import ctc_beam, ctc_greedy
from tasks.data.prepared import Batch, PreparedData, Utterance
from tasks.runner.reporter import Reporter

NEGLIGIBLE = 1e-9


class HypothesisTable:
    """Hypotheses by an utterance's id; an utterance that is not in it has none."""

    def __init__(self, rows: Mapping[str, Row]) -> None:
        self.rows = rows

    def batch(self, ids: Sequence[str]) -> Hypotheses:
        return Hypotheses.of([self.rows.get(audio_id, ()) for audio_id in ids])


def search(
    outputs: Callable[[Batch], tuple[Tensor, Tensor]],
    data: PreparedData,
    utterances: Sequence[Utterance],
    settings: FromHypotheses,
    batch_seconds: float,
    reporter: Reporter,
) -> HypothesisTable:
    """The n best hypotheses of a CTC teacher for each utterance; outputs: its logits_BTV and lengths_B of a batch.

    A beam of 1 takes the best path; a wider one weighs hypotheses by their probabilities (among the n).
    """
    rows: dict[str, Row] = {}
    batches = data.batches(utterances, batch_seconds)
    for batch in reporter.progress(batches, data.num_batches(utterances, batch_seconds), "teacher's hypotheses"):
        logits_BTV, lengths_B = outputs(batch)
        if settings.beam == 1:
            rows |= {i: [(units, 1.0)] for i, units in zip(batch.ids, ctc_greedy(logits_BTV, lengths_B), strict=True)}
            continue
        for audio_id, found in zip(batch.ids, ctc_beam(logits_BTV, lengths_B, beam=settings.beam), strict=True):
            weights = [(units, math.exp(score - found[0][1])) for units, score in found[: settings.n_best]]
            rows[audio_id] = [(units, weight) for units, weight in weights if weight > NEGLIGIBLE]
    return HypothesisTable(rows)
