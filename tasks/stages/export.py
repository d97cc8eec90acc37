"""Stage `export NAME`: models/NAME as an ONNX file that equals the PyTorch model, and its table of tokens."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from kd.runtime.bundle import Bundle
from kd.runtime.session import open_session
from kd.runtime.words import SPACE
from kd.text.vocabulary import Vocabulary
from tasks.checkpoint import Checkpoint, load_checkpoint
from tasks.data.prepared import PreparedData
from tasks.onnx.export_stream import export_stream
from tasks.onnx.onnx_files import IR_VERSION, OPSET, write_onnx
from tasks.onnx.onnx_module import FORMAT, TRACED_FRAMES, Exported, metadata
from tasks.onnx.quantise.bundle import bundle, reach
from tasks.onnx.quantise.make import make_forms, only_reference
from tasks.onnx.quantise.parity import Parity
from tasks.params.pipeline import Params
from tasks.runner.atomic_io import write_whole
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter, Reporter

PARITY_TOLERANCE = 1e-4
HALF_TOLERANCE = 0.1
PARITY_FRAMES = ((53,), (400,), (9, 16), (120, 50, 83))


def compare(module: Exported, path: Path, tolerance: float = PARITY_TOLERANCE) -> Parity:
    """Compare PyTorch and the file over batches of many shapes.

    Allowed is the tolerance, or four times PyTorch's own rounding error where that is more. Raises
    RuntimeError where lengths differ.
    """
    session, differences, roundings = open_session(path), [], []
    for seed, frames in enumerate(PARITY_FRAMES):
        x, lengths_B = module.batch(frames, seed)
        with torch.no_grad():
            expected, exact = module(x, lengths_B), module.exact(x, lengths_B)
        names = module.inputs()
        found = session.run(None, dict(zip(names, (x.numpy(), lengths_B.numpy()), strict=True)))
        log_probs, valid = (expected, None) if module.keyword else expected
        if valid is not None and found[1].tolist() != valid.tolist():
            raise RuntimeError(
                f"{path}: of inputs with {frames} frames the file makes {found[1].tolist()} frames, PyTorch "
                f"{valid.tolist()}. The file cannot be used"
            )
        for row in range(len(frames)):
            rows = slice(None) if valid is None else slice(int(valid[row]))
            differences.append((torch.from_numpy(found[0])[row][rows] - log_probs[row][rows]).abs().max())
            roundings.append((log_probs[row][rows] - exact[row][rows]).abs().max())
    worst = float(torch.stack(differences).max())  # NaN where any is NaN
    return Parity(worst, max(tolerance, 4 * float(torch.stack(roundings).max())))


def parity(module: Exported, path: Path) -> Parity:
    """As `compare`; raises RuntimeError where they differ by more than is allowed."""
    found = compare(module, path)
    if found.fault:
        raise RuntimeError(
            f"{path}: {found.fault}. The file cannot be used; it stays in place to be looked into. "
            "Has the training diverged?"
        )
    return found


def tokens_table(vocabulary: Vocabulary) -> str:
    """One `token index` a line, as sherpa-onnx reads it: a space is written ▁, the blank <blk>."""
    rows = (f"{token.replace(' ', SPACE)} {index}" for index, token in enumerate(vocabulary.tokens))
    return "\n".join(rows) + "\n"


def write_float32(checkpoint: Checkpoint, folder: Path, frontend_included: bool = False) -> Bundle:
    """Write folder/model.onnx, proven to equal the PyTorch model, and nothing beside it."""
    module = Exported(checkpoint, frontend_included)
    _write_reference(module, folder / "model.onnx", metadata(checkpoint, frontend_included))
    return bundle(checkpoint, folder, frontend_included)


def _write_reference(module: Exported, file: Path, properties: dict[str, str]) -> Parity:
    write_onnx(file, module, module.batch(TRACED_FRAMES, seed=0), module.inputs(), module.outputs(), properties)
    return parity(module, file)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file that stands in the folder, by which the runtime knows that it is whole."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name != "export.json")
    return {file.name: sha256(file.read_bytes()).hexdigest() for file in files}


def run(params: Params, paths: Paths, name: str = "", reporter: Reporter = NullReporter()) -> dict[str, float]:
    """Export models/NAME to exports/NAME and prove parity; gives the file's size and the difference."""
    checkpoint, folder = load_checkpoint(paths.model(name)), paths.export(name)
    module = Exported(checkpoint, params.export.frontend_included)
    file, properties = folder / "model.onnx", metadata(checkpoint, params.export.frontend_included)
    found, size = _write_reference(module, file, properties), file.stat().st_size
    forms = _forms(params, paths, name, module, checkpoint, reporter)
    write_whole(folder / "tokens.txt", tokens_table(checkpoint.vocabulary))
    description = {
        "format": FORMAT,
        "problem": checkpoint.model.settings.problem,
        "frontend_included": params.export.frontend_included,
        "frontend": checkpoint.frontend.model_dump(mode="json"),
        **reach(checkpoint),
        "streaming": None if params.export.frontend_included else export_stream(checkpoint, folder, properties),
        "opset": OPSET,
        "ir_version": IR_VERSION,
        "size_bytes": size,
        "parity": {"max_abs_difference": found.difference, "allowed": found.allowed, "frames": PARITY_FRAMES},
        "forms": forms,
        "files": digests(folder),
    }
    write_whole(folder / "export.json", json.dumps(description, indent=1))
    reporter.say(f"{name}: {size / 1e6:.2f} MB of ONNX, log-probabilities within {found.difference:.1e} of PyTorch's")
    sizes = {f"{form}/size_bytes": float(facts["size_bytes"]) for form, facts in forms.items()}
    return {"size_bytes": float(size), "parity_max_abs_difference": found.difference, **sizes}


def _forms(
    params: Params, paths: Paths, name: str, module: Exported, checkpoint: Checkpoint, reporter: Reporter
) -> dict[str, Any]:
    """Make the smaller forms; gives what export.json says of each."""
    folder = paths.export(name)
    if not params.export.smaller:
        only_reference(folder)
        return {}

    data = PreparedData.load(paths.prepared, sample_rate_hz=checkpoint.frontend.sample_rate_hz)
    exported = bundle(checkpoint, folder, params.export.frontend_included)
    return make_forms(params, data, exported, lambda file: compare(module, file, HALF_TOLERANCE), reporter)
