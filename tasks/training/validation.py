"""Validation during training: loss against the labels and error rate of greedy decoding."""

from collections.abc import Mapping

import torch

from kd.audio.frontend import FrontEnd
from kd.losses.labels import LABEL_LOSSES
from kd.models import Recogniser
from kd.text.decoding import DECODERS
from kd.text.metrics import EDITS, error_rate
from tasks.data.prepared import Batch, PreparedData, Utterance


class Validation:
    """`validate(model)` for the training loop; features are computed once and kept in memory."""

    def __init__(
        self, data: PreparedData, split: str, frontend: FrontEnd, *, batch_seconds: float, device: torch.device
    ) -> None:
        self.vocabulary = data.vocabulary
        self.utterances: tuple[Utterance, ...] = data.split(split)
        self.device = device
        self.batches: list[tuple[Batch, torch.Tensor, torch.Tensor]] = []
        for batch in data.batches(self.utterances, batch_seconds):
            features, frames_B = frontend(batch.waveform_BN.to(device), batch.lengths_B.to(device))
            self.batches.append((batch, features, frames_B))

    @torch.no_grad()
    def __call__(self, model: Recogniser) -> Mapping[str, float]:
        """valid_error (word error rate, or share of wrong keywords) and valid_loss (nats per utterance)."""
        problem = model.settings.problem
        model.eval()
        counts, loss = [], 0.0
        for batch, features, frames_B in self.batches:
            logits_BTV, lengths_B = model(features, frames_B)
            targets, target_lengths = batch.targets_BL.to(self.device), batch.target_lengths_B.to(self.device)
            loss += float(LABEL_LOSSES[problem](logits_BTV, lengths_B, targets, target_lengths)) * len(batch.ids)
            for index, units in zip(batch.indices, DECODERS[problem](logits_BTV, lengths_B), strict=True):
                hypothesis = self.vocabulary.decode(units)
                counts.append(EDITS[problem](self.utterances[index].text, hypothesis))
        return {"valid_error": error_rate(counts), "valid_loss": loss / len(self.utterances)}
