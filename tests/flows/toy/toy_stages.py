"""Stages that write what the real ones write, from what they read, in no time.

Files under `orders/` tell a stage, named as in `orders/distil-baseline`, how to behave:
`sleep 3`, `meet propagate-baseline` (wait until that has begun), `fail`, `fail once`, `big 20` (MiB of output).
A file `edition` changes what they write.
"""

import hashlib
import json
import time
from pathlib import Path

from tasks.runner.atomic_io import write_whole
from tasks.runner.dvc_graph import look_up, read_spec
from tasks.runner.paths import Paths


def run(params, paths: Paths, name: str, reporter) -> dict[str, float]:
    import os

    command = os.environ["DVC_STAGE"].partition("@")[0].removesuffix("_teacher")
    label = f"{command}-{name}" if name else command
    note(paths.root, label, "begin")
    spec = read_spec(paths.root, command, name)
    values = params.model_dump(mode="json")
    content = hashlib.md5()
    for dep in spec.deps:
        files = sorted(dep.rglob("*")) if dep.is_dir() else [dep]
        content.update(b"".join(file.read_bytes() for file in files if file.is_file()))
    content.update(json.dumps([look_up(values, key) for key in spec.params]).encode())
    if (edition := paths.root / "edition").is_file():
        content.update(edition.read_bytes())
    resumed = work(paths.root, label, reporter)
    write(paths, command, name, content.hexdigest(), size_mib(paths.root, label))
    note(paths.root, label, "resumed" if resumed else "end")
    return {"answer": 42.0}


def work(root: Path, label: str, reporter) -> bool:
    """Do as ordered, one step after another, keeping how far we came; whether an earlier try had begun."""
    order = orders(root, label)
    state = reporter.scratch / "step"
    resumed = state.is_file()
    if order[:1] == ["fail"] and not (order[1:] == ["once"] and resumed):
        state.write_text("0")
        print("reading the tea leaves", flush=True)
        raise ValueError(f"{label} was ordered to fail")
    if order[:1] == ["meet"]:
        meet(root, order[1])
    steps = int(float(order[1]) * 10) if order[:1] == ["sleep"] else 1
    done = int(state.read_text()) if resumed else 0
    for step in reporter.progress(range(done, steps), label="steps"):
        time.sleep(0.1 if order[:1] == ["sleep"] else 0)
        write_whole(state, str(step + 1))
        reporter.metrics({"loss": 1 / (step + 1)}, step)
    return resumed


def meet(root: Path, other: str, patience_s: float = 300.0) -> None:
    """Wait until another stage has begun, or will not while this one runs."""
    deadline_s = time.monotonic() + patience_s
    while f'"stage": "{other}"' not in (root / "diary.jsonl").read_text() and time.monotonic() < deadline_s:
        time.sleep(0.1)


def write(paths: Paths, command: str, name: str, content: str, mib: int) -> None:
    folders = {
        "corpus": paths.raw,
        "preprocess": paths.prepared,
        "teacher": paths.model("teacher"),
        "cache_logits": paths.outputs("teacher"),
        "propagate": paths.initial(name),
        "distil": paths.model(name),
        "export": paths.export(name),
        "evaluate": paths.evaluation(name),
        "profile": paths.reports,
        "report": paths.reports,
    }
    if command == "distil":
        paths.outputs(name).mkdir(parents=True, exist_ok=True)
        (paths.outputs(name) / "content").write_text("none")
    folder = folders[command]
    folder.mkdir(parents=True, exist_ok=True)
    if command == "evaluate":
        for table in ("utterances.parquet", "conditions.parquet", "forms.parquet", "forms.json"):
            (folder / table).write_text(content)
        error = int(content[:4], 16) / 2**16
        (folder / "metrics.json").write_text(json.dumps({"valid_wer": error, "test_wer": error, "size_bytes": 9}))
    elif command == "profile":
        (folder / "timings.json").write_text(json.dumps({"content": content, "at": time.time()}))
    elif command == "report":
        (folder / "report.html").write_text(content)
        (folder / "cards").mkdir(exist_ok=True)
        (folder / "cards" / "teacher.md").write_text(content)
        names = sorted(path.parent.name for path in Path(paths.root).glob("evaluation/*/metrics.json"))
        errors = "test_wer,test_wer_low,test_wer_high,valid_wer"
        header = f"model,role,objective,error_kind,{errors},params,size_bytes,latency_ms_p50"
        roles = {"teacher": "teacher", "baseline": "baseline"}
        rows = [
            f"{n},{roles.get(n, 'student')},labels,wer,{i / 10},{i / 20},{i / 5},{i / 10},{1000 + i},{4000 + i},{1 + i}"
            for i, n in enumerate(names)
        ]
        (folder / "results.csv").write_text("\n".join([header, *rows]) + "\n")
    elif command == "export":
        write_identity(folder / "model.onnx", content)
        (folder / "tokens.txt").write_text("<blk> 0\na 1\n")
        (folder / "export.json").write_text("{}")
        released = {"best_int8": None, "forms": {"float32": {"file": "model.onnx", "released": True}}, "tried": []}
        (folder / "released.json").write_text(json.dumps(released))
    else:
        (folder / "content").write_text(content)
        (folder / "ballast").write_bytes(b"\0" * mib * 2**20)


def write_identity(path: Path, content: str) -> None:
    """A file with inputs and outputs like those of a real export, that gives back its features."""
    from onnx import TensorProto, helper, save

    features = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", "T", 2]) for name in ("x", "log_probs")]
    lengths = [helper.make_tensor_value_info(n, TensorProto.INT64, ["N"]) for n in ("x_lens", "log_probs_len")]
    nodes = [
        helper.make_node("Identity", ["x"], ["log_probs"]),
        helper.make_node("Identity", ["x_lens"], ["log_probs_len"]),
    ]
    graph = helper.make_graph(nodes, content, [features[0], lengths[0]], [features[1], lengths[1]])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def orders(root: Path, label: str) -> list[str]:
    file = root / "orders" / label
    return file.read_text().split() if file.is_file() else []


def size_mib(root: Path, label: str) -> int:
    order = orders(root, label)
    return int(order[1]) if order[:1] == ["big"] else 0


def note(root: Path, label: str, what: str) -> None:
    with (root / "diary.jsonl").open("a") as diary:
        diary.write(json.dumps({"stage": label, "what": what, "time_s": time.time()}) + "\n")
