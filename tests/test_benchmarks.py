"""Every benchmark starts, on as little as it takes; what it measures there is no claim."""

import ast
import importlib
import importlib.util
import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
import yaml
from benchmark import load_benchmark
from spoken_digits import FSDD, need_recordings
from workspace import make_params, make_workspace

from kd.config.frontend import FrontEndSettings
from kd.config.models import ModelSettings
from kd.models import build
from kd.text.vocabulary import Vocabulary
from tasks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tasks.data.prepared import PreparedData
from tasks.onnx.float32 import write_float32
from tasks.params.pipeline import ExportParams, Params
from tasks.runner.paths import Paths
from tasks.stages import export

REPO = Path(__file__).parents[1]
WHISPER = REPO.parent / "shared" / "models" / "whisper-tiny.en-ct2"
ELSEWHERE = {"fuzz": "test_fuzz.py", "overhead": "flows/test_overhead.py"}
PARTS = {"digit_strings", "transcribe_student", "transcribe_whisper", "rounds"}
"""Of the others, which start them or use them."""
WAYS = {"labels alone", "stored teacher", "live teacher"}
CNN = {"family": "cnn", "stem": 4, "width": 8, "layers": 2, "hidden": 8, "kernel": 3}


def start(folder: Path, name: str, *words: str | Path) -> str:
    """What benchmarks/NAME.py prints when it is started from elsewhere, by its path alone."""
    command = [sys.executable, str(REPO / "benchmarks" / f"{name}.py"), *map(str, words)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def need(package: str) -> None:
    """Skips the test where an optional package is missing."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"the package {package} is not installed")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of a recogniser that could write digits, and was not trained."""
    torch.manual_seed(1)
    paths, front = Paths(tmp_path_factory.mktemp("digits")), FrontEndSettings()
    vocabulary = Vocabulary.characters("efghinorstuvwxz '")
    settings = {"problem": "transcription", "num_features": front.num_mels, "num_outputs": len(vocabulary)}
    model = build(ModelSettings.model_validate({**settings, "encoder": CNN})).eval()
    whose = {"role": "student", "init": "random", "objective": "labels"}
    save_checkpoint(paths.model("digits"), Checkpoint(model, front, vocabulary, **whose))
    export.run(Params.model_construct(export=ExportParams(forms=("float32",))), paths, "digits")
    return paths.export("digits")


def recording(folder: Path, name: str = "noise.wav") -> Path:
    folder.mkdir(exist_ok=True)
    soundfile.write(folder / name, np.random.default_rng(0).uniform(-0.1, 0.1, 16_000), 16_000)
    return folder / name


def test_every_benchmark_is_started() -> None:
    started = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    there = {file.stem for file in (REPO / "benchmarks").glob("*.py")}
    assert there <= started | PARTS | ELSEWHERE.keys()
    assert all((REPO / "tests" / file).is_file() for file in ELSEWHERE.values())


def test_the_index_has_every_script_by_the_first_words_of_its_docstring() -> None:
    """Those that others start or use stand in a table of their own."""
    index = (REPO / "benchmarks" / "README.md").read_text(encoding="utf-8")
    tables = [{line for line in part.splitlines() if line.startswith("| [")} for part in index.split("## ")]
    rows: list[set[str]] = [set(), set()]
    for file in (REPO / "benchmarks").glob("*.py"):
        about = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        first = " ".join(about.split("\n\n")[0].split())
        rows[file.stem in {*PARTS, "torchdistill_side"}].add(f"| [{file.name}]({file.name}) | {first} |")
    assert tables == rows


@pytest.mark.slow
def test_hotwords(tmp_path: Path) -> None:
    paths = make_workspace(tmp_path)
    export.run(Params.model_construct(export=ExportParams(forms=("float32",))), paths, "baseline")
    said = start(tmp_path, "hotwords", tmp_path, "baseline", "--out", tmp_path / "found.csv")
    assert "rare terms in all" in said
    table = pd.read_csv(tmp_path / "found.csv")
    assert set(table["search"]) == {"greedy", "beam"}
    assert set(table["terms"]) == {"all", "short", "shared prefix"}
    heard = table[(table["part"] == "validation") & (table["terms"] == "all")]
    assert (heard["phrases"] > 0).all()
    frequent = sorted({word for text in PreparedData.load(paths.prepared).split("valid") for word in text.text.split()})
    (tmp_path / "own.txt").write_text("\n".join(frequent), encoding="utf-8")
    assert f"{len(frequent)} own.txt terms" in start(tmp_path, "hotwords", tmp_path, "baseline", "--list", "own.txt")
    sys.path.insert(0, str(REPO / "benchmarks"))
    terms = importlib.import_module("hotwords")
    assert terms.spelled_terms([])("call a n n now b c d e it is x y") == ["a n n", "b c d e"]
    assert terms.rare_terms(["a b", "b c", "b"])("b a d") == ["a", "d"]


@pytest.mark.slow
def test_against_whisper(tmp_path: Path, digits: Path) -> None:
    need_recordings()
    need("faster_whisper")
    if not WHISPER.is_dir():
        pytest.skip(f"no Whisper at {WHISPER}")
    least = ("--strings", "2", "--repeats", "1", "--python", sys.executable)
    start(tmp_path, "against_whisper", digits, *least, "--json", "found.json")
    rows = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["rows"]
    assert [row["name"].partition(",")[0] for row in rows] == ["digits", *["whisper tiny.en int8"] * 3]


@pytest.mark.slow
def test_conditions(tmp_path: Path) -> None:
    make_workspace(tmp_path, utterances=8)
    assert "telephone" in start(tmp_path, "conditions", tmp_path, "baseline", "distilled")


@pytest.mark.slow
def test_distillation_cost(tmp_path: Path) -> None:
    need("espeakng_loader")
    least = ("--utterances", "8", "--rounds", "1", "--without-torchdistill", "--csv", "found.csv")
    start(tmp_path, "distillation_cost", *least)
    assert ways_in(tmp_path / "found.csv") >= WAYS


@pytest.mark.slow
def test_torchdistill_side(tmp_path: Path) -> None:
    """Which also holds the first epoch's losses of both tools to each other."""
    need("espeakng_loader")
    sys.path.insert(0, str(REPO / "benchmarks"))
    side = importlib.import_module("torchdistill_side")
    if not side.installed(side.ENVIRONMENT).is_file():
        pytest.skip(f"no torchdistill in {side.ENVIRONMENT}: benchmarks/distillation_cost.py installs it there")
    start(tmp_path, "distillation_cost", "--utterances", "8", "--rounds", "1", "--csv", "found.csv")
    assert {f"torchdistill: {way}" for way in WAYS} <= ways_in(tmp_path / "found.csv")


def ways_in(file: Path) -> set[str]:
    return {line.split(",")[-4] for line in file.read_text(encoding="utf-8").splitlines()[1:]}


@pytest.mark.slow
def test_features(tmp_path: Path) -> None:
    least = ("--seconds", "180", "--repeats", "1", "--steps", "1")
    assert "features cached as float16" in start(tmp_path, "features", *least)


@pytest.mark.slow
def test_gpu(tmp_path: Path) -> None:
    need("transformers")
    least = ("--size", "small-test", "--utterance-s", "1", "--most-batch-s", "4", "--steps", "1", "--device", "cpu")
    start(tmp_path, "gpu", *least, "--csv", "found.csv")
    lines = (tmp_path / "found.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",4.0,")[0].partition(",small-test,")[2].strip('"') for line in lines[1:]] == [
        "ours", "ours, checkpointing", "transformers, cut", "transformers, padded",
    ]  # fmt: skip


def test_an4_parts(tmp_path: Path) -> None:
    (tmp_path / "an4" / "audio").mkdir(parents=True)
    rows = [f"audio/{i}.flac,A,anna,{'test' if i == 3 else 'train'}" for i in range(25)]
    table = "\n".join(["path,text,speaker,split", *rows])
    (tmp_path / "an4" / "manifest.csv").write_text(table, encoding="utf-8")
    found = start(tmp_path, "an4_parts", "an4", "parts")
    assert found == "training utterances: 3 in tenth.csv, 21 in rest.csv\n"
    tenth = (tmp_path / "parts" / "tenth.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [line.split(",")[0] for line in tenth] == [f"audio/{i}.flac" for i in (0, 3, 11, 21)]
    assert (tmp_path / "parts" / "audio").is_dir()


def test_interval_coverage(tmp_path: Path) -> None:
    assert "8 at margin" in start(tmp_path, "interval_coverage", "--runs", "1")


def test_long_recording(tmp_path: Path, digits: Path) -> None:
    found = json.loads(start(tmp_path, "long_recording", digits, "--minutes", "0.05"))
    assert found["minutes"] == 0.05
    assert found["peak_mb"] > 0


def test_runtime_start(tmp_path: Path, digits: Path) -> None:
    found = json.loads(start(tmp_path, "runtime_start", digits, recording(tmp_path), "--calls", "1"))
    assert found["median_s"] > 0


@pytest.mark.slow
def test_seven_bits(tmp_path: Path) -> None:
    params, paths = make_params(export={"forms": ["float32"], "calibration_utterances": 2}), make_workspace(tmp_path)
    paths.params.write_text(yaml.safe_dump(params.model_dump(mode="json")), encoding="utf-8")
    export.run(params, paths, "baseline")
    rows = start(tmp_path, "seven_bits", tmp_path).splitlines()[1:]
    cases = {" ".join(case) for case in product(("int8_dynamic", "int8_static"), "78", ("own", "exact"))}
    assert {" ".join(row.split()[1:-3]) for row in rows} == {"float32", *cases}


@pytest.mark.slow
@pytest.mark.parametrize("family", ["rnn", "cnn"])
def test_speed_follows_size(tmp_path: Path, family: str) -> None:
    if family == "cnn":
        need("torch_pruning")
    recording(tmp_path / "audio")
    least = ("--removed", "0.5", "--rounds", "1", "--utterances", "1", "--profile", "1")
    said = start(tmp_path, "speed_follows_size", "--families", family, "--audio", tmp_path / "audio", *least)
    assert f"{family}: median ratio" in said


def test_a_curve_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(REPO / "benchmarks")  # where its neighbours are
    curve = load_benchmark("spotting_curves").curve
    points = curve([-0.1, -0.4], num_spoken=4, false_scores=[-0.2, -0.4], hours=0.5)
    assert [(p.threshold, p.miss_share, p.false_alarms_per_hour) for p in points] == [
        (np.inf, 1.0, 0.0), (-0.1, 0.75, 0.0), (-0.2, 0.75, 2.0), (-0.4, 0.5, 4.0),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="at least as many"):
        curve([-0.1], num_spoken=0, false_scores=[], hours=1.0)


def test_spotting_curves(tmp_path: Path, digits: Path) -> None:
    need_recordings()
    least = ("--strings", "4", "--phrases", "1", "--fsdd", FSDD.parent)
    start(tmp_path, "spotting_curves", digits, *least, "--json", "found.json")
    assert set(json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["curves"]) == {"1", "2", "3"}


@pytest.mark.slow
def test_training_step(tmp_path: Path) -> None:
    assert "front end by matrices" in start(tmp_path, "training_step", "--steps", "1", "--only", "a tenth")


@pytest.mark.slow
def test_with_words(tmp_path: Path) -> None:
    paths = make_workspace(tmp_path)
    said = start(tmp_path, "with_words", tmp_path, "baseline")
    assert "word list and bigram" in said
    write_float32(load_checkpoint(paths.model("baseline")), tmp_path)
    assert start(tmp_path, "with_words", tmp_path, "baseline", "--file", tmp_path / "model.onnx") == said
