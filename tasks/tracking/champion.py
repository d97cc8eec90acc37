"""What shall stand in MLflow's registry: the best student as candidate, and as champion where a form of it passed."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tasks.metric_names import error_name
from tasks.onnx.form_files import FILES, RELEASED, read_released
from tasks.reporting.choice import best_student
from tasks.runner.paths import Paths
from tasks.tracking.pipeline_run import model_md5, read_results

CANDIDATE, CHAMPION = "candidate", "champion"


@dataclass(frozen=True)
class RegistryEntry:
    """One version of the registered model: a student in one form, under an alias."""

    alias: str
    student: str
    form: str
    file: Path
    tags: dict[str, str]


def wanted(root: Path) -> list[RegistryEntry]:
    """The best student in 32 bits as candidate, and its smallest form that passed the gate as champion, if any did.

    Without students there is nothing; where no smaller form passed, an older champion stays what it is.
    """
    name = best_student(read_results(root))
    if name is None:
        return []
    folder = Paths(root).export(name)
    entries = [_entry(root, CANDIDATE, name, "float32", folder / FILES["float32"])]
    if (found := smallest_passed(folder)) is not None:
        entries.append(_entry(root, CHAMPION, name, *found))
    return entries


def smallest_passed(export: Path) -> tuple[str, Path] | None:
    """Of the forms that passed the gate, the one of fewest bytes, and of equals that of the lower error rate.

    float32 passes no gate: it is what the others are held against.
    """
    if not (export / RELEASED).is_file():
        return None
    passed = {
        form: facts for form, facts in read_released(export)["forms"].items() if facts["released"] and form != "float32"
    }
    files = {form: export / facts["file"] for form, facts in passed.items()}
    best = min(passed, key=lambda form: (files[form].stat().st_size, passed[form]["valid_error"]), default=None)
    return None if best is None else (best, files[best])


def _entry(root: Path, alias: str, student: str, form: str, file: Path) -> RegistryEntry:
    row = next(row for row in read_results(root) if row["model"] == student)
    tags = {
        "dvc_md5": model_md5(root, student),
        "file_md5": hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() if file.is_file() else "",
        "student": student,
        "form": form,
        error_name("valid_error", row["error_kind"]): str(row["valid_error"]),
    }
    return RegistryEntry(alias, student, form, file, tags)
