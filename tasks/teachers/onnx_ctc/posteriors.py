"""A CTC model in ONNX as a teacher of frames. Legend: B utterances, N samples, T frames, V units of ours."""

import json
import shutil
from collections.abc import Iterable, Sequence
from hashlib import blake2b, file_digest
from pathlib import Path

import onnx
import torch
from torch import Tensor

from kd.teachers.mapped_posteriors import in_our_units
from kd.text.unit_mapping import map_tokens, unmapped
from tasks.params.teachers import OnnxTeacher
from tasks.runner.atomic_io import write_whole
from tasks.runner.digests import digest_of
from tasks.runner.reporter import Reporter
from tasks.teachers.onnx_ctc import FACTS_FILE
from tasks.teachers.onnx_ctc.model import OnnxCtc
from tasks.teachers.onnx_ctc.signature import DESCRIPTION, KD

CODE = ("tasks.teachers.onnx_ctc.model", "kd.teachers.mapped_posteriors", "kd.text.unit_mapping")


class OnnxPosteriorTeacher:
    """A folder with onnx.json, which names the model, its tokens, its type and our units."""

    def __init__(self, folder: Path) -> None:
        """Raises ValueError where the model is not what it was, or its tokens are not our units."""
        facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
        self.model = OnnxCtc(folder, facts["model"], facts["tokens"], facts["type"])
        self.units = map_tokens(self.model.table, facts["units"])
        self.sample_rate_hz: int = facts["sample_rate_hz"]
        self.key = _hash(folder, self.model.versions)
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> "OnnxPosteriorTeacher":
        """What it gives lies there; the model itself runs on the CPU."""
        self.device = device
        return self

    @torch.no_grad()
    def posteriors(self, waveform_BN: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """As `PosteriorTeacher`; one utterance at a time, since models normalise over all they are given."""
        rows = [
            in_our_units(self.model.scores(waveform_N[:n].cpu(), self.sample_rate_hz), self.units)
            for waveform_N, n in zip(waveform_BN, lengths_B.tolist(), strict=True)
        ]
        frames_B = torch.tensor([len(row_TV) for row_TV in rows], device=self.device)
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(self.device), frames_B


def take_onnx(
    settings: OnnxTeacher, root: Path, units: Sequence[str], sample_rate_hz: int, folder: Path, reporter: Reporter
) -> None:
    """Copy to `folder` all that its frames are computed from. Raises ValueError, before that, where it cannot teach."""
    source = root / settings.path
    model = OnnxCtc(source, settings.model, settings.tokens, settings.type)
    model.require_rate(sample_rate_hz)
    places = map_tokens(model.table, units)
    if lost := unmapped(model.table.tokens_W, places):
        reporter.say(f"{model.file} also writes {' '.join(lost[:40])}, no units here: all of ours share their mass")
    for name in files_of(model, settings):
        shutil.copyfile(source / name, folder / name)
    facts = {
        "model": settings.model,
        "tokens": settings.tokens,
        "type": settings.type,
        "units": list(units),
        "sample_rate_hz": sample_rate_hz,
    }
    write_whole(folder / FACTS_FILE, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    reporter.say(
        f"{model.file}: {model.signature.type}, {len(model.table)} tokens, {model.signature.sample_rate_hz} Hz"
    )


def files_of(model: OnnxCtc, settings: OnnxTeacher) -> list[str]:
    """Names of all files of its folder that it is computed from."""
    description = [DESCRIPTION] if model.signature.type == KD else []
    return [settings.model, settings.tokens, *_weight_files(model.file), *description]


def _weight_files(file: Path) -> list[str]:
    """Files of weights beside a large model, by the names that it gives them."""
    found = set()
    for tensor in onnx.load(file, load_external_data=False).graph.initializer:
        found |= {entry.value for entry in tensor.external_data if entry.key == "location"}
    if strange := sorted(name for name in found if Path(name).name != name):
        raise ValueError(f"{file} keeps weights in {strange[0]}, outside of its folder: save it with them beside it")
    return sorted(found)


def _hash(folder: Path, versions: str) -> str:
    """16 hex digits of all that its outputs depend on besides the audio: files, versions, code."""
    digest = blake2b(f"{versions} {digest_of(CODE)}".encode(), digest_size=8)
    take_in(digest, sorted(path for path in folder.iterdir() if path.is_file()))
    return digest.hexdigest()


def take_in(digest: blake2b, files: Iterable[Path]) -> None:
    """Let a digest depend on the names and the bytes of files."""
    for file in files:
        with file.open("rb") as data:
            digest.update(f"{file.name} {file_digest(data, 'sha256').hexdigest()}".encode())
