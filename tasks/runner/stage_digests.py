"""`python -m tasks digests`: for each stage a digest of the code that its result depends on, for DVC to compare."""

import inspect
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from tasks.params.pipeline import Params
from tasks.params.teachers import TEACHER_SOURCES
from tasks.runner.atomic_io import fresh_folder, write_whole
from tasks.runner.digests import code_of
from tasks.runner.dvc_graph import sections_of
from tasks.runner.harness import BY_SOURCE, STAGES

FOLDER = "digests"
"""The stage, and the folder that it writes."""

AROUND = ("tasks.runner.threads",)
"""What the harness does for every stage, and what results depend on; no stage imports it."""

COMPLETED = {"distil": ("tasks.params.completion",)}
"""What fills settings that a stage reads, when parameters are loaded; no stage imports it."""


def write_digests(root: Path) -> None:
    """Write digests/STAGE.json for every stage of the project under `root`; of adopt_teacher one for each source."""
    with fresh_folder(root / FOLDER) as folder:
        for file, (stage, module) in digest_files().items():
            found = code_of([module, *AROUND, *COMPLETED.get(stage, ())]) | defaults_of(sections_of(root, stage))
            write_whole(folder / f"{file}.json", json.dumps(found, indent=1, sort_keys=True) + "\n")


def digest_files() -> dict[str, tuple[str, str]]:
    """The stage, and the module that runs it, for each file of digests."""
    found = {stage: (stage, module) for stage, module in STAGES.items() if stage != "adopt_teacher"}
    return found | {
        f"adopt_teacher-{source}": ("adopt_teacher", BY_SOURCE.get(source, STAGES["adopt_teacher"]))
        for source in sorted(TEACHER_SOURCES)
    }


def defaults_of(sections: Iterable[str]) -> dict[str, Any]:
    """The defaults of these sections of params.yaml, by class and key: DVC sees only what the file gives."""
    found: dict[str, Any] = {}
    fields = {section: Params.model_fields[section] for section in sections}
    if given := _given(fields):
        found["defaults"] = given
    waiting: list[Any] = [field.annotation for field in fields.values()]
    while waiting:
        kind = waiting.pop()
        waiting.extend(get_args(kind))
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            name = f"defaults of {kind.__module__}.{kind.__name__}"
            if name not in found:
                found[name] = _given(kind.model_fields)
                waiting.extend(field.annotation for field in kind.model_fields.values())
    return found


def _given(fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    """The defaults of those that have one."""
    optional = {key: field for key, field in fields.items() if not field.is_required()}
    return {key: to_jsonable_python(f.get_default(call_default_factory=True)) for key, f in optional.items()}
