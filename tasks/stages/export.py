"""Stage `export NAME`: models/NAME as an ONNX file that equals the PyTorch model, and its table of tokens."""

import json
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

from kd.runtime.bundle import FORMS, TOKENS
from kd.runtime.description import FORMAT
from kd.runtime.words import SPACE
from kd.text.vocabulary import Vocabulary
from tasks.checkpoint import Checkpoint, load_checkpoint
from tasks.data.prepared import PreparedData
from tasks.onnx.as_bundle import bundle, framing
from tasks.onnx.export_audio import FILE, export_audio
from tasks.onnx.export_stream import export_stream
from tasks.onnx.onnx_files import IR_VERSION, OPSET
from tasks.onnx.onnx_module import Exported, metadata, write_traced
from tasks.onnx.parity import HALF_TOLERANCE, PARITY_FRAMES, compare, parity
from tasks.onnx.quantise.make import make_forms, only_reference
from tasks.params.export import smaller_forms
from tasks.params.pipeline import Params
from tasks.pretrained.hand_back import hand_back
from tasks.runner.atomic_io import write_whole
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter, Reporter

TRANSFORMERS = "transformers"
"""The folder, in an export's, that transformers reads."""


def tokens_table(vocabulary: Vocabulary) -> str:
    """One `token index` a line, as sherpa-onnx reads it: a space is written ▁, the blank <blk>."""
    rows = (f"{token.replace(' ', SPACE)} {index}" for index, token in enumerate(vocabulary.tokens))
    return "\n".join(rows) + "\n"


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of each file that stands in the folder, by which the runtime knows that it is whole."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name != "export.json")
    return {file.name: sha256(file.read_bytes()).hexdigest() for file in files}


def run(params: Params, paths: Paths, name: str = "", reporter: Reporter = NullReporter()) -> dict[str, float]:
    """Export models/NAME to exports/NAME and prove parity; gives the file's size and the difference."""
    checkpoint, folder = load_checkpoint(paths.model(name)), paths.export(name)
    file, properties = folder / FORMS["float32"], metadata(checkpoint, params.export.frontend_included)
    module = write_traced(checkpoint, file, params.export.frontend_included)
    found, size = parity(module, file), file.stat().st_size
    (folder / FILE).unlink(missing_ok=True)
    if params.export.audio_file:
        export_audio(checkpoint, folder)
    _hand_back(params, checkpoint, folder / TRANSFORMERS, name, reporter)
    forms = _forms(params, paths, name, module, checkpoint, reporter)
    write_whole(folder / TOKENS, tokens_table(checkpoint.vocabulary))
    description = {
        "format": FORMAT,
        "problem": checkpoint.model.settings.problem,
        "frontend_included": params.export.frontend_included,
        "frontend": checkpoint.frontend.model_dump(mode="json"),
        **framing(checkpoint),
        "streaming": None if params.export.frontend_included else export_stream(checkpoint, folder, properties),
        "opset": OPSET,
        "ir_version": IR_VERSION,
        "size_bytes": size,
        "parity": {"max_abs_difference": found.difference, "allowed": found.allowed, "frames": PARITY_FRAMES},
        "forms": forms,
        "files": checksums(folder),
    }
    write_whole(folder / "export.json", json.dumps(description, indent=1))
    reporter.say(f"{name}: {size / 1e6:.2f} MB of ONNX, log-probabilities within {found.difference:.1e} of PyTorch's")
    sizes = {f"{form}/size_bytes": float(facts["size_bytes"]) for form, facts in forms.items()}
    return {"size_bytes": float(size), "parity_max_abs_difference": found.difference, **sizes}


def _hand_back(params: Params, checkpoint: Checkpoint, folder: Path, name: str, reporter: Reporter) -> None:
    """The model for transformers where that is asked for and can be; else the reason, and no folder of before."""
    shutil.rmtree(folder, ignore_errors=True)
    if not params.export.transformers_folder:
        return
    try:
        hand_back(checkpoint.model, checkpoint.vocabulary, folder)
    except ValueError as error:
        reporter.say(f"{name}: no {folder.name}/: {error}")


def _forms(
    params: Params, paths: Paths, name: str, module: Exported, checkpoint: Checkpoint, reporter: Reporter
) -> dict[str, Any]:
    """Make the smaller forms; gives what export.json says of each."""
    folder = paths.export(name)
    if not smaller_forms(params.export):
        only_reference(folder)
        return {}

    data = PreparedData.load(paths.prepared, sample_rate_hz=checkpoint.frontend.sample_rate_hz)
    exported = bundle(checkpoint, folder, params.export.frontend_included)
    return make_forms(params, data, exported, lambda file: compare(module, file, HALF_TOLERANCE), reporter)
