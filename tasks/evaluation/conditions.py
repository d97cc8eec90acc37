"""The test part under other conditions: noise, echoes, another speaking rate, another level, a telephone."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from kd.audio.conditions import degrade
from kd.config.conditions import Condition, Noise
from kd.runtime.recogniser import Recogniser
from tasks.data.prepared import PreparedData, Utterance
from tasks.onnx.form_files import FILES
from tasks.onnx.forms_table import REFERENCE
from tasks.onnx.onnx_decoder import OnnxDecoder
from tasks.params.evaluation import EvaluationParams
from tasks.runner.reporter import Reporter


def condition_table(decoder: OnnxDecoder, params: EvaluationParams, reporter: Reporter) -> pd.DataFrame:
    """One row for each condition and utterance tried: id, speaker, condition, kind, snr_db, hypothesis, errors.

    The same audio for every model, through the exported float32 file. Without conditions the table is empty.
    """
    chosen = evenly(decoder.data.split("test"), params.condition_utterances)
    recogniser = decoder.open(decoder.bundle.folder / FILES[REFERENCE])
    tried = reporter.progress(params.conditions, len(params.conditions), "conditions")
    rows = [row for condition in tried for row in _rows(decoder, recogniser, chosen, condition, params)]
    columns = ["id", "speaker", "condition", "kind", "snr_db", "hypothesis", "errors", "reference_units"]
    return pd.DataFrame(rows, columns=columns).astype({"speaker": "str", "snr_db": "float64"})


def condition_errors(table: pd.DataFrame) -> dict[str, float]:
    """Error rate of each condition, as metrics: `test_error/telephone`."""
    sums = table.groupby("condition", sort=False)[["errors", "reference_units"]].sum()
    return {f"test_error/{name}": float(row["errors"] / row["reference_units"]) for name, row in sums.iterrows()}


def evenly(utterances: Sequence[Utterance], count: int) -> tuple[Utterance, ...]:
    """At most `count` of them, at even distances, so that every speaker has a part."""
    places = np.linspace(0, len(utterances) - 1, min(count, len(utterances))).round().astype(int)
    return tuple(utterances[int(place)] for place in places)


def degraded(data: PreparedData, chosen: Sequence[Utterance], condition: Condition, seed: int) -> PreparedData:
    """These utterances under a condition. What is drawn depends on the seed and the audio, on nothing else."""
    audio, utterances, offset = [], [], 0
    for utterance in chosen:
        rng = np.random.default_rng([seed, int(utterance.audio_hash, 16)])
        given = np.asarray(data.audio[utterance.offset : utterance.offset + utterance.num_samples])
        samples_N = degrade(given, data.sample_rate_hz, condition, rng)
        audio.append(samples_N)
        utterances.append(replace(utterance, offset=offset, num_samples=len(samples_N)))
        offset += len(samples_N)
    return replace(data, utterances=tuple(utterances), audio=np.concatenate(audio))


def _rows(
    decoder: OnnxDecoder,
    recogniser: Recogniser,
    chosen: Sequence[Utterance],
    condition: Condition,
    params: EvaluationParams,
) -> Iterator[dict[str, object]]:
    worse = replace(decoder, data=degraded(decoder.data, chosen, condition, params.condition_seed))
    for utterance in worse.data.utterances:
        yield {
            **worse.error_row(utterance, worse.transcribe(recogniser, utterance)),
            "condition": condition.name,
            "kind": condition.kind,
            "snr_db": condition.snr_db if isinstance(condition, Noise) else None,
        }
