"""Utterances as each form of a model transcribes them: a row a form and utterance, errors, closeness to float32."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kd.runtime.recogniser import LogProbs, Recogniser
from kd.stats import Interval, paired_interval
from tasks.data.prepared import Utterance
from tasks.onnx.onnx_decoder import OnnxDecoder

REFERENCE = "float32"


def decoded(
    decoder: OnnxDecoder, recognisers: Mapping[str, Recogniser], utterances: Sequence[Utterance]
) -> Iterator[dict[str, Any]]:
    """Rows of all forms, utterance by utterance; recognisers holds the float32 form, and that first.

    divergence: sum over frames of KL(float32 || form) in nats; same_best: frames whose likeliest unit is float32's.
    """
    for utterance in utterances:
        x = decoder.inputs(utterance)
        reference = recognisers[REFERENCE].of_inputs(x)
        for form, recogniser in recognisers.items():
            found = reference if form == REFERENCE else recogniser.of_inputs(x)
            yield {
                "form": form,
                **decoder.error_row(utterance, decoder.text(found)),
                "frames": len(found),
                "divergence": divergence(reference, found),
                "same_best": int((reference.argmax(1) == found.argmax(1)).sum()),
            }


def divergence(reference_TV: LogProbs, found_TV: LogProbs) -> float:
    """Sum over frames of KL(reference || found), in nats."""
    wide = reference_TV.astype(np.float64)
    return max(0.0, float((np.exp(wide) * (wide - found_TV)).sum()))  # below 0 by rounding alone


def make_table(rows: Iterator[dict[str, Any]]) -> pd.DataFrame:
    """The rows as a table, in which unnamed speakers are texts too."""
    return pd.DataFrame(rows).astype({"speaker": "str"})


def error(table: pd.DataFrame, form: str) -> float:
    """Pooled error rate of one form."""
    part = table[table["form"] == form]
    return float(part["errors"].sum() / part["reference_units"].sum())


def rise(table: pd.DataFrame, form: str, confidence: float) -> Interval:
    """How far a form's error rate is above float32's on the same utterances, with its interval over speakers."""
    ours, theirs = (table[table["form"] == which].reset_index(drop=True) for which in (form, REFERENCE))
    speakers = [None if pd.isna(speaker) else str(speaker) for speaker in ours["speaker"]]
    return paired_interval(
        ours["errors"].tolist(),
        theirs["errors"].tolist(),
        ours["reference_units"].tolist(),
        speakers,
        confidence=confidence,
    )


def closeness(table: pd.DataFrame, form: str) -> dict[str, float]:
    """Per frame of the model: mean divergence from float32 in nats, and the share of equal likeliest units."""
    part = table[table["form"] == form]
    frames = int(part["frames"].sum())
    return {
        "divergence_nats": float(part["divergence"].sum() / frames),
        "same_best_unit": float(part["same_best"].sum() / frames),
    }
