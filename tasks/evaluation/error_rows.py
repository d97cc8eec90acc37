"""Errors of a model in each utterance."""

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from kd.stats import Interval, error_interval
from kd.text.metrics import char_edits
from tasks.data.prepared import Utterance
from tasks.onnx.onnx_decoder import OnnxDecoder


def speakers_interval(table: pd.DataFrame, confidence: float) -> Interval:
    """The error rate of a table's utterances, with its interval over their speakers."""
    speakers = [None if pd.isna(speaker) else str(speaker) for speaker in table["speaker"]]
    errors, units = table["errors"].tolist(), table["reference_units"].tolist()
    return error_interval(errors, units, speakers, confidence=confidence)


def error_rows(
    decoder: OnnxDecoder, utterances: Iterable[Utterance], hypotheses: Iterable[str]
) -> Iterator[dict[str, Any]]:
    """One row for each utterance, with its errors."""
    for utterance, hypothesis in zip(utterances, hypotheses, strict=True):
        chars = char_edits(utterance.text, hypothesis)
        yield {
            **decoder.error_row(utterance, hypothesis),
            "char_errors": chars.errors,
            "char_units": chars.reference_units,
            "snr_db": utterance.snr_db,
            "duration_s": utterance.num_samples / decoder.data.sample_rate_hz,
        }
