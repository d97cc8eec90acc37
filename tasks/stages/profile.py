"""Stage `profile`: time and memory of every form of every exported model, and of a cold start.

One utterance at a time, ONNX Runtime, a fixed number of threads. The front end is counted as an ONNX graph: the one
inside the file, or one traced here. `kd transcribe` computes it by numpy where the file holds none, at another speed.
It wants the machine for itself; the load before it began is written down beside the times.
"""

import json
import os
import platform
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from kd.config.frontend import FrontEndSettings
from tasks.data.prepared import PreparedData, spread_over_lengths
from tasks.onnx import cold_start
from tasks.onnx.form_files import files_of
from tasks.onnx.latency import time_interleaved, write_frontend
from tasks.onnx.onnx_session import OnnxRecogniser
from tasks.params.pipeline import Params
from tasks.runner.atomic_io import write_whole
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter, Reporter


def run(params: Params, paths: Paths, name: str = "", reporter: Reporter = NullReporter()) -> dict[str, float]:
    """Write reports/timings.json; gives the figures of every model's float32 file as `model/figure`."""
    settings = params.evaluation
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        files = {
            (model, form): pair
            for model in ("teacher", *params.students)
            for form, pair in _files(paths.export(model), Path(folder) / f"{model}.onnx").items()
        }
        data = PreparedData.load(paths.prepared, sample_rate_hz=params.frontend.sample_rate_hz)
        samples = [data.waveform(u) for u in spread_over_lengths(data.split("test"), settings.timing_utterances)]
        recognisers = {key: OnnxRecogniser.load(*pair, settings.threads) for key, pair in files.items()}
        seconds = time_interleaved(recognisers, samples, settings.timing_repeats, reporter)
        fresh = {
            key: cold_start.measure(*pair, samples[-1], settings.threads)
            for key, pair in reporter.progress(files.items(), len(files), "start each file afresh")
        }
    durations = [len(s) / data.sample_rate_hz for s in samples]
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for (model, form), values in seconds.items():
        figures.setdefault(model, {})[form] = {**latency_figures(values, durations), **fresh[model, form]}
    timings = {
        "models": {model: forms["float32"] for model, forms in figures.items()},
        "forms": figures,
        "utterances": len(samples),
        "repeats": settings.timing_repeats,
        "audio_seconds": sum(durations),
        "threads": settings.threads,
        "load_before": load,
        "machine": cpu_name(),
        "onnxruntime": onnxruntime.__version__,
    }
    paths.reports.mkdir(parents=True, exist_ok=True)
    write_whole(paths.reports / "timings.json", json.dumps(timings, indent=1) + "\n")
    return {f"{model}/{key}": value for model, forms in figures.items() for key, value in forms["float32"].items()}


def latency_figures(seconds: npt.NDArray[np.float64], durations_s: Iterable[float]) -> dict[str, float]:
    """Percentiles over utterances in ms, and the real-time factor: seconds of work for a second of audio."""
    p50, p95 = np.percentile(seconds * 1000, [50, 95])
    return {
        "latency_ms_p50": float(p50),
        "latency_ms_p95": float(p95),
        "rtf": float(seconds.sum() / sum(durations_s)),
    }


def cpu_name() -> str:
    """The processor's name as Linux tells it; times mean little without it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _files(export: Path, frontend: Path) -> dict[str, tuple[Path, Path | None]]:
    """Each form's file and that of its front end, written here; None where the form's holds it already."""
    file = export / "export.json"
    if not file.is_file():
        raise ValueError(f"{file} is missing: there is nothing to time. Run the stage export for each model first")
    description = json.loads(file.read_text(encoding="utf-8"))
    if description["frontend_included"]:
        return {form: (path, None) for form, path in files_of(export).items()}
    write_frontend(frontend, FrontEndSettings.model_validate(description["frontend"]))
    return {form: (path, frontend) for form, path in files_of(export).items()}
