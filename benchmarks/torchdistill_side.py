"""The other side of distillation_cost.py: torchdistill in an environment of its own, told by lines what to run.

`Side` starts it; run as a script in that environment, this file is the process that it starts. For each line that names
a way (labels alone, stored teacher, live teacher) it trains one more epoch and answers with seconds and mean loss.
"""

import contextlib
import json
import os
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

REPO = Path(__file__).parents[1]
VERSION = "1.1.4"
ENVIRONMENT = REPO / "scratch" / "torchdistill"
"""Where it is installed, unless one says otherwise."""


def installed(environment: Path) -> Path:
    """A file that is there once torchdistill is."""
    return environment / f"torchdistill-{VERSION}"


class Side:
    """A running process; see `epochs`."""

    def __init__(self, environment: Path, folder: Path, settings: Any) -> None:
        self.folder = folder
        places = os.pathsep.join([str(REPO), str(REPO / "tests" / "support")])
        command = [str(prepared(environment)), __file__, str(folder), settings.model_dump_json()]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": str(settings.threads)},
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=60)

    def epochs(self, way: str) -> Callable[[], tuple[float, float]]:
        """Another epoch at each call; gives its seconds and mean loss."""

        def one() -> tuple[float, float]:
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            print(way, file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline()
            if not answer:
                raise RuntimeError(f"torchdistill ended with exit code {self.process.wait()}; what it said is above")
            seconds, loss = json.loads(answer)
            return seconds, loss

        return one

    def cache_bytes(self) -> int:
        return sum(file.stat().st_size for file in (self.folder / "cache").rglob("*.pt"))


def prepared(environment: Path) -> Path:
    """The environment's Python; made, with torchdistill beside this environment's packages, where it is missing."""
    python = environment / "bin" / "python"
    ready = installed(environment)
    if not ready.is_file():
        import torch

        venv.create(environment, clear=True, with_pip=False)
        inside = next((environment / "lib").glob("python*")) / "site-packages"
        (inside / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
        (environment / "same.txt").write_text(f"torch=={torch.__version__.partition('+')[0]}\n")
        pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet", "--disable-pip-version-check"]
        wanted = ["--constraint", str(environment / "same.txt"), f"torchdistill=={VERSION}"]
        subprocess.run([*pip, "install", *wanted], check=True)
        ready.touch()
    return python


def main(folder: Path, settings: dict[str, Any]) -> None:
    ways = make_ways(folder, settings)
    for line in sys.stdin:
        with contextlib.redirect_stdout(sys.stderr):
            answer = next(ways[line.strip()])
        print(json.dumps(answer), flush=True)


def make_ways(folder: Path, settings: dict[str, Any]) -> dict[str, Iterator[tuple[float, float]]]:
    """Trainings that go on an epoch at a time, each with a student of its own, as torchdistill's boxes."""
    import torch
    from torchdistill.core.distillation import DistillationBox
    from torchdistill.core.training import TrainingBox

    torch.set_num_threads(settings["threads"])
    recordings = register(folder, settings)
    cpu, none = torch.device("cpu"), (None, False, 1)

    def boxed(way: str) -> Any:
        teacher, student = (single_output(folder / name) for name in ("teacher", "student"))
        config = configuration(way, settings, folder)
        if way == "labels alone":
            return TrainingBox(student, {"train": recordings}, config, cpu, *none)
        return DistillationBox(teacher.eval(), student, {"train": recordings}, config, cpu, *none)

    return {way: epochs(boxed(way)) for way in ("labels alone", "stored teacher", "live teacher")}


def register(folder: Path, settings: dict[str, Any]) -> Any:
    """The recordings as a data set; registers the batches and the padding that the project's own training has."""
    import torch
    from plain_sources import unperturbed
    from torch.utils.data import default_collate
    from torchdistill.datasets.registry import register_batch_sampler, register_collate_func

    from kd.audio.frontend import make_front_end
    from tasks.checkpoint import load_checkpoint
    from tasks.data.prepared import PreparedData, plan
    from tasks.training.feature_cache import FeatureCache

    data = PreparedData.load(folder / "data" / "prepared")
    utterances = data.split("train")
    front_end = make_front_end(load_checkpoint(folder / "student").frontend)
    source = unperturbed(data, utterances, front_end)
    cache = FeatureCache.build(folder / "plain-features", source, 1, front_end.settings.num_mels)

    class Recordings(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(utterances)

        def __getitem__(self, index: int) -> Any:
            features_1TF, length_1, _ = cache.read([index])
            return (features_1TF[0], length_1[0]), utterances[index].units[0]

    @register_batch_sampler
    class PlannedBatches:
        def __init__(self, sampler: Any) -> None:
            self.epoch = 0

        def __iter__(self) -> Iterator[list[int]]:
            limit = settings["batch_seconds"] * data.sample_rate_hz
            lengths = [u.num_samples for u in utterances]
            yield from map(list, plan(lengths, limit, shuffle=(settings["seed"], self.epoch)))

    @register_collate_func
    def padded(items: list[Any]) -> Any:
        samples, labels, supplements = zip(*items, strict=True)
        features_BTF = torch.nn.utils.rnn.pad_sequence([features for features, _ in samples], batch_first=True)
        return (features_BTF, torch.stack([n for _, n in samples])), torch.tensor(labels), default_collate(supplements)

    return Recordings()


def single_output(folder: Path) -> Any:
    """A network of the project with one input and one output: (features_BTF, lengths_B) to logits_BV."""
    import torch

    from tasks.checkpoint import load_checkpoint

    class SingleOutput(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = load_checkpoint(folder).model

        def forward(self, sample: Any) -> Any:
            return self.inner(*sample)[0][:, 0]

    return SingleOutput()


def configuration(way: str, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The project's keyword objective and optimiser in torchdistill's terms: cross-entropy + T^2 KL, both weight 1."""
    from torch.utils.data import SequentialSampler

    loader: dict[str, Any] = {
        "dataset_id": "train", "sampler": {"class_or_func": SequentialSampler}, "collate_fn": "padded",
        "batch_sampler": {"key": "PlannedBatches", "kwargs": {}}, "kwargs": {"num_workers": 0},
    }  # fmt: skip
    if way == "stored teacher":
        loader["cache_output"] = str(folder / "cache")
    output = {"is_from_teacher": False, "module_path": ".", "io": "output"}
    labels = {
        "criterion": {"key": "CrossEntropyLoss", "kwargs": {}},
        "criterion_wrapper": {
            "key": "SimpleLossWrapper", "kwargs": {"input": output, "target": {"uses_label": True}},
        },
        "weight": 1.0,
    }  # fmt: skip
    paths = {
        f"{who}_module_{what}": v for who in ("student", "teacher") for what, v in (("path", "."), ("io", "output"))
    }
    both = {
        "criterion": {"key": "KDLoss", "kwargs": {**paths, "temperature": 2.0, "alpha": 1.0, "beta": 1.0}},
        "weight": 1.0,
    }
    plain = {"forward_proc": "forward_batch_only"}
    adam, term = settings["optimiser"], labels if way == "labels alone" else both
    return {
        "num_epochs": 10_000,
        "train_data_loader": loader,
        "model": plain,
        "student": plain,
        "teacher": {**plain, "requires_grad": False},
        "optimizer": {
            "key": "AdamW", "kwargs": {"lr": adam["lr"], "weight_decay": adam["weight_decay"]},
            "max_grad_norm": settings["max_grad_norm"],
        },
        "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": {"all": term}}},
    }  # fmt: skip


def epochs(box: Any) -> Iterator[tuple[float, float]]:
    """Seconds and mean loss of one epoch after another."""
    epoch = 0
    while True:
        started, total, count = time.perf_counter(), 0.0, 0
        box.train_data_loader.batch_sampler.epoch = epoch
        box.pre_epoch_process(epoch=epoch)
        for sample, targets, supplement in box.train_data_loader:
            loss = box.forward_process(sample, targets, supplement)
            box.post_forward_process(loss=loss)
            total += float(loss.detach()) * len(targets)
            count += len(targets)
        box.post_epoch_process()
        yield time.perf_counter() - started, total / count
        epoch += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
