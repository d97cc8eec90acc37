"""No file that a program of ours reads is ever half written: who writes past `atomic_io` is named here, with why."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from kd.runtime.files import write_whole as write_transcript

REPO = Path(__file__).parents[2]
ATOMIC = {"whole_file", "fresh_folder"}
WRITERS = {
    *("write_text", "write_bytes", "to_csv", "to_json", "to_parquet", "to_pickle", "write_table", "save_file"),
    *("savefig", "copyfile", "copy2", "copytree", "move", "extractall", "tofile", "savez", "ParquetWriter"),
}
OF_MODULES = {
    *("json.dump", "yaml.dump", "torch.save", "np.save", "onnx.save", "soundfile.write", "sf.write", "shutil.copy"),
    *("pickle.dump", "joblib.dump", "os.write"),
}

EXCEPTIONS = {
    "tasks/drawing.py": "its callers open the file, whole",
    "kd/runtime/files.py": "the same for the runtime, which imports nothing of tasks",
    "tasks/data/preparation/quarantine.py": "within the fresh folder of data/prepared",
    "tasks/data/preparation/store.py": "within the fresh folder of data/prepared",
    "tasks/data/corpora/raw.py": "within the fresh folder of data/raw",
    "tasks/data/corpora/extracted.py": "within the fresh folder of data/raw",
    "tasks/data/corpora/synthetic.py": "within the fresh folder of data/raw",
    "tasks/teachers/adopt_posterior_teacher.py": "within the fresh folder of models/NAME",
    "tasks/teachers/onnx_ctc/posteriors.py": "within the fresh folder of models/NAME",
    "tasks/training/feature_cache.py": "within a folder that is synced, and renamed when it is whole",
    "tasks/data/corpora/fetch.py": "within a temporary folder, and renamed when it is whole",
    "tasks/teachers/transcribers/command.py": "within a temporary folder",
    "tasks/onnx/cold_start.py": "a temporary file",
    "tasks/runner/event_log.py": "a journal: the reader leaves out a line without its end, or damaged",
    "tasks/teachers/transcribers/cache.py": "a journal: the reader leaves out damaged lines",
    "tasks/teachers/logit_cache.py": "a journal: whole lines of the index say what counts of the frames",
    "tasks/experiments/tune/loop.py": "a log for people",
    "flows/tune.py": "a log for people",
    "flows/study.py": "a log for people",
}


def written(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls that write a file, but for those into memory and onto what an atomic helper gave."""
    safe = {"memory"} | {
        node.optional_vars.id
        for node in ast.walk(tree)
        if isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name) and _called(node) in ATOMIC
    }
    in_memory = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        for target in node.targets
        if isinstance(target, ast.Name) and ast.unparse(node.value.func).startswith("io.")
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and writes(node):
            names = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
            if not names & (safe | in_memory):
                yield node


def _called(item: ast.withitem) -> str:
    call = item.context_expr
    return call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""


def writes(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    last = name.rpartition(".")[2]
    if last == "to_csv":
        return any(not isinstance(argument, ast.Constant) for argument in call.args)  # else it gives text
    if last == "open":
        modes = [
            value.value for value in (*call.args, *(k.value for k in call.keywords)) if isinstance(value, ast.Constant)
        ]
        return any(isinstance(mode, str) and len(mode) < 4 and set("wax+") & set(mode) for mode in modes)
    return last in WRITERS or name in OF_MODULES


def sources() -> Iterator[tuple[str, ast.AST]]:
    for folder in ("kd", "tasks", "flows"):
        for file in sorted((REPO / folder).rglob("*.py")):
            yield file.relative_to(REPO).as_posix(), ast.parse(file.read_text(encoding="utf-8"))


def test_whoever_writes_a_file_writes_it_whole():
    found = {f"{file}:{call.lineno}: {ast.unparse(call.func)}" for file, tree in sources() for call in written(tree)}
    strange = sorted(place for place in found if place.partition(":")[0] not in EXCEPTIONS)
    assert not strange, (
        f"write these by tasks.runner.atomic_io.write_whole or whole_file, or say here why not: {strange}"
    )


def test_no_exception_is_left_over():
    assert set(EXCEPTIONS) == {file for file, tree in sources() if any(written(tree))}


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("file.write_text(x)", 1),
        ("open(file, 'wb')", 1),
        ("file.open(mode='a')", 1),
        ("file.open()", 0),
        ("file.open('rb')", 0),
        ("table.to_csv(index=False)", 0),
        ("table.to_csv(file, index=False)", 1),
        ("with whole_file(f) as beside:\n    torch.save(x, beside)", 0),
        ("with whole_file(f) as beside:\n    torch.save(x, f)", 1),
        ("file = io.BytesIO()\nfigure.savefig(file)", 0),
        ("json.dumps(x)", 0),
    ],
)
def test_the_walk_finds_what_writes(code, count):
    assert len(list(written(ast.parse(code)))) == count


def test_a_transcript_that_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    file = tmp_path / "a.txt"
    write_transcript(file, b"before")
    monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_transcript(file, b"after")
    assert [(f.name, f.read_bytes()) for f in tmp_path.iterdir()] == [("a.txt", b"before")]
