"""What a model hears in prepared utterances: greedy, on the CPU."""

from collections.abc import Iterator

import torch

from kd.decode import DECODERS
from kd.frontend import LogMel
from tasks.checkpoint import Checkpoint
from tasks.data import PreparedData, Utterance


def hypotheses(
    checkpoint: Checkpoint, data: PreparedData, utterances: tuple[Utterance, ...], batch_seconds: float
) -> Iterator[tuple[Utterance, str]]:
    """Utterances with what the model hears in them, longest first."""
    frontend, decode = LogMel(checkpoint.frontend), DECODERS[checkpoint.model.settings.problem]
    for batch in data.batches(utterances, batch_seconds):
        with torch.inference_mode():
            logits_BTV, lengths_B = checkpoint.model(*frontend(batch.waveform_BN, batch.lengths_B))
        for index, units in zip(batch.indices, decode(logits_BTV, lengths_B), strict=True):
            yield utterances[index], data.vocabulary.decode(units)
