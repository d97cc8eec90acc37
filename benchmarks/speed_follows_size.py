"""Does speed follow size? Measured speed-up of pruned and sliced models by their reduction of multiply-accumulates.

    python benchmarks/speed_follows_size.py       some six minutes on a machine that does nothing else

Untrained networks of realistic sizes, cut by each structured operator by a quarter, a half and three quarters, exported
and run by ONNX Runtime in one thread on the features of real utterances. All sizes of a family run each utterance in
turn; times are medians over rounds. Ratio 1.0: half the MACs take half the time. MACs are counted on the same
utterances. The front end, which no operator changes, is timed apart. Torch-Pruning cuts the same cnn beside
(`pip install -e '.[torch-pruning]' -c requirements.lock`). With `--profile` ONNX Runtime says of the worst cases where
the time went, by kind of node.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs from a checkout, by its path alone

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table
from torch import nn

from kd.audio.frontend import make_front_end
from kd.config.frontend import FrontEndSettings
from kd.config.models import ModelSettings
from kd.config.propagation import Operator
from kd.models import Recogniser, build
from kd.models.macs import count_macs
from kd.propagation import Propagated, propagate
from kd.propagation.third_party import prune
from kd.runtime.audio import read
from kd.runtime.session import open_session
from kd.text.vocabulary import Vocabulary
from tasks.checkpoint import Checkpoint
from tasks.onnx.latency import time_interleaved
from tasks.onnx.onnx_files import write_onnx
from tasks.onnx.onnx_module import Exported
from tasks.onnx.onnx_session import OnnxRecogniser
from tasks.runner.reporter import NullReporter

SPEECH = Path(__file__).parents[2] / "shared" / "data" / "speechocean762" / "audio"
FRONTEND = FrontEndSettings()
VOCABULARY = Vocabulary.characters("abcdefghijklmnopqrstuvwxyz' ")
REMOVED = (0.25, 0.5, 0.75)
GOOD = 0.7
FAMILIES: dict[str, dict[str, Any]] = {
    "cnn": {"family": "cnn", "stem": 128, "width": 192, "layers": 8, "hidden": 576, "kernel": 11},
    "conformer": {
        "family": "conformer", "stem": 128, "width": 192, "layers": 8, "heads": 8, "head_dim": 24,
        "feed_forward_1": 768, "feed_forward_2": 768, "channels": 192, "kernel": 15,
    },
    "whisper": {
        "family": "whisper", "stem": 384, "width": 384, "layers": 4, "heads": 6, "head_dim": 64, "feed_forward": 1_536,
    },
    "rnn": {"family": "rnn", "cell": "gru", "stem": 128, "width": 192, "layers": 4, "hidden": 192},
}  # fmt: skip
DIMS = {
    "cnn": ("hidden",),
    "rnn": ("hidden",),
    "conformer": ("heads", "feed_forward", "channels"),
    "whisper": ("heads", "feed_forward"),
}

Features = npt.NDArray[np.float32]
Run = Callable[[Features], Any]


@dataclass(frozen=True)
class Case:
    """fewer_macs and faster: of the whole network by this one; milliseconds: of all utterances."""

    family: str
    operator: str
    removed: float
    milliseconds: float
    fewer_macs: float
    faster: float

    @property
    def ratio(self) -> float:
        return self.faster / self.fewer_macs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES), default=list(FAMILIES))
    parser.add_argument("--removed", nargs="+", type=float, default=REMOVED, help="shares that are cut off")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--utterances", type=int, default=6)
    parser.add_argument("--audio", type=Path, default=SPEECH, help="folder of recordings")
    parser.add_argument("--profile", type=int, default=0, metavar="N", help="profile the N worst cases of each family")
    parser.add_argument("--json", type=Path, help="write all cases there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=120)
    utterances = waveforms(options.audio, options.utterances)
    features = [features_of(samples) for samples in utterances]
    seconds = sum(len(samples) for samples in utterances) / FRONTEND.sample_rate_hz
    console.print(f"{len(utterances)} utterances, {seconds:.1f} s in all; ONNX Runtime {onnxruntime.__version__}")
    found: list[Case] = []
    with tempfile.TemporaryDirectory() as folder:
        console.print(
            f"front end: {frontend_ms(Path(folder), utterances, options.rounds):.1f} ms, apart from all below"
        )
        for family in options.families:
            files = {key: write(Path(folder), key, model) for key, model in networks(family, options.removed)}
            cases = measured(family, files, features, options.rounds)
            console.print(ratio_table(family, cases))
            for case in sorted(cases, key=lambda case: case.ratio)[: options.profile]:
                console.print(profiled(case, files, features))
            found += cases
    if options.json:
        rows = [{**asdict(case), "ratio": case.ratio} for case in found]
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def waveforms(folder: Path, count: int) -> list[Features]:
    """Recordings evenly spread over the lengths of their files."""
    files = sorted((f for f in folder.rglob("*") if f.suffix in (".wav", ".flac", ".mp3", ".ogg", ".opus")),
                   key=lambda f: (f.stat().st_size, f.name))  # fmt: skip
    if not files:
        raise SystemExit(f"no recordings in {folder}: name a folder of some by --audio")
    places = np.linspace(0, len(files) - 1, count + 2)[1:-1].round().astype(int)
    return [np.asarray(read(str(files[i]), FRONTEND.sample_rate_hz), np.float32) for i in places]


def features_of(samples_N: Features) -> Features:
    features_BTF, _ = make_front_end(FRONTEND)(torch.from_numpy(samples_N)[None], torch.tensor([len(samples_N)]))
    return np.asarray(features_BTF[0])


def networks(family: str, shares: Sequence[float]) -> Iterator[tuple[tuple[str, float], nn.Module]]:
    """The whole network, and each operator's at each amount, by (operator, share removed)."""
    settings = ModelSettings.model_validate({
        "problem": "transcription", "num_features": FRONTEND.num_mels, "num_outputs": len(VOCABULARY),
        "encoder": FAMILIES[family],
    })  # fmt: skip
    torch.manual_seed(1)
    whole = build(settings).eval()
    yield ("whole", 0.0), whole
    for removed in shares:
        for name, operator in operators(family, removed).items():
            (made,) = TypeAdapter(list[Operator]).validate_python([operator])
            yield (name, removed), propagate(Propagated(whole), [made]).model
        if family == "cnn":
            example = torch.randn(1, 200, FRONTEND.num_mels), torch.tensor([200])
            yield ("Torch-Pruning", removed), prune(whole, example, sparsity=removed, keep=["head"]).module


def operators(family: str, removed: float) -> dict[str, dict[str, Any]]:
    """Each dim's units, all of them, what Torch-Pruning takes, width and depth."""
    layer = {"op": "prune_units", "sparsity": removed, "scope": "layer"}
    dims = DIMS[family]
    found: dict[str, dict[str, Any]] = {f"prune {dim}": {**layer, "dims": [dim]} for dim in dims}
    if len(dims) > 1:
        found["prune all three" if len(dims) == 3 else "prune both"] = {**layer, "dims": dims}
    if family == "cnn":
        found["prune stem, width, hidden"] = {**layer, "dims": ["stem", "width", "hidden"]}
    return found | {
        f"slice {dim}": {"op": "slice", "keep": {dim: 1 - removed}, "choose": "spaced"} for dim in ("width", "layers")
    }


def write(folder: Path, key: tuple[str, float], model: nn.Module) -> tuple[Path, nn.Module]:
    assert isinstance(model, Recogniser)
    file = folder / f"{'-'.join(key[0].split())}-{key[1]}.onnx"
    module = Exported(Checkpoint(model, FRONTEND, VOCABULARY, role="student", init="random", objective="none"), False)
    write_onnx(file, module, module.batch((47, 31), seed=0), module.inputs(), module.outputs(), {})
    return file, model


def measured(
    family: str, files: dict[tuple[str, float], tuple[Path, nn.Module]], features: list[Features], rounds: int
) -> list[Case]:
    seconds = time_interleaved(
        {key: feeding(open_session(file)) for key, (file, _) in files.items()}, features, rounds, NullReporter()
    )
    macs = {key: sum(macs_of(model, x) for x in features) for key, (_, model) in files.items()}
    base = ("whole", 0.0)
    return [
        Case(family, *key, 1000 * float(seconds[key].sum()), macs[base] / macs[key],
             float(seconds[base].sum() / seconds[key].sum()))
        for key in files if key != base
    ]  # fmt: skip


def macs_of(model: nn.Module, features_TF: Features) -> float:
    return count_macs(model, torch.from_numpy(features_TF)[None], torch.tensor([len(features_TF)]))


def feeding(session: onnxruntime.InferenceSession) -> Run:
    return lambda x_TF: session.run(None, {"x": x_TF[None], "x_lens": np.array([len(x_TF)], dtype=np.int64)})


def frontend_ms(folder: Path, utterances: list[Features], rounds: int) -> float:
    file, example = folder / "frontend.onnx", (torch.zeros(2, 8000), torch.tensor([8000, 5003]))
    inputs, outputs = {"audio": ("N", "S"), "audio_lens": ("N",)}, {"x": ("N", "T"), "x_lens": ("N",)}
    write_onnx(file, make_front_end(FRONTEND), example, inputs, outputs, {})
    seconds = time_interleaved({"frontend": OnnxRecogniser.load(file, None)}, utterances, rounds, NullReporter())
    return 1000 * float(seconds["frontend"].sum())


def ratio_table(family: str, cases: list[Case]) -> Table:
    table = Table(title=f"{family}: median ratio {statistics.median(case.ratio for case in cases):.2f}")
    for column in ("operator", "removed", "fewer MACs, times", "faster, times", "ratio", "ms"):
        table.add_column(column, justify="left" if column == "operator" else "right")
    for case in sorted(cases, key=lambda case: (case.operator, case.removed)):
        mark = "" if case.ratio >= GOOD else f" below {GOOD}"
        table.add_row(case.operator, f"{case.removed:.0%}", f"{case.fewer_macs:.2f}", f"{case.faster:.2f}",
                      f"{case.ratio:.2f}{mark}", f"{case.milliseconds:.1f}")  # fmt: skip
    return table


def profiled(case: Case, files: dict[tuple[str, float], tuple[Path, nn.Module]], features: list[Features]) -> Table:
    """Milliseconds by kind of node, of the whole network and of this case."""
    whole, cut = (node_ms(files[key][0], features) for key in (("whole", 0.0), (case.operator, case.removed)))
    table = Table(
        title=f"{case.family}, {case.operator} {case.removed:.0%}: ratio {case.ratio:.2f}; ms by kind of node"
    )
    for column in ("node", "whole", "cut", "faster, times"):
        table.add_column(column, justify="left" if column == "node" else "right")
    for kind in sorted(whole, key=lambda kind: -cut[kind])[:8]:
        table.add_row(kind, f"{whole[kind]:.2f}", f"{cut[kind]:.2f}", f"{whole[kind] / max(cut[kind], 1e-9):.2f}")
    return table


def node_ms(file: Path, features: list[Features], repeats: int = 15) -> dict[str, float]:
    """As ONNX Runtime's profile tells it, for one pass over all utterances; medians over repeats."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_profiling, options.log_severity_level = True, 3
    options.profile_file_prefix = str(file.with_suffix(""))
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    for _ in range(repeats):
        for x_TF in features:
            feeding(session)(x_TF)
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in json.loads(Path(session.end_profiling()).read_text(encoding="utf-8")):
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            taken[event["args"]["op_name"], event["name"]].append(event["dur"] / 1000)
    total: dict[str, float] = defaultdict(float)
    for (kind, _), values in taken.items():
        total[kind] += float(np.median(np.reshape(values, (repeats, -1)), axis=0).sum())
    return total


if __name__ == "__main__":
    main()
