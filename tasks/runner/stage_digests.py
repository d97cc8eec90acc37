"""`python -m tasks digests`: for each stage a digest of the code that its result depends on, for DVC to compare."""

import inspect
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from tasks.params.pipeline import Params
from tasks.runner.atomic_io import fresh_folder, write_whole
from tasks.runner.digests import code_of
from tasks.runner.dvc_graph import sections_of
from tasks.runner.harness import STAGES

FOLDER = "digests"
"""The stage, and the folder that it writes."""


def write_digests(root: Path) -> None:
    """Write digests/STAGE.json for every stage of the project under `root`."""
    with fresh_folder(root / FOLDER) as folder:
        for stage, module in STAGES.items():
            found = code_of([module]) | defaults_of(sections_of(root, stage))
            write_whole(folder / f"{stage}.json", json.dumps(found, indent=1, sort_keys=True) + "\n")


def defaults_of(sections: Iterable[str]) -> dict[str, Any]:
    """The defaults of these sections of params.yaml, by class and key: DVC sees only what the file gives."""
    found: dict[str, Any] = {}
    for section in sorted(sections):
        field = Params.model_fields[section]
        waiting: list[Any] = [field.annotation]
        if not field.is_required():
            found[f"defaults {section}"] = to_jsonable_python(field.get_default(call_default_factory=True))
        while waiting:
            kind = waiting.pop()
            waiting.extend(get_args(kind))
            if inspect.isclass(kind) and issubclass(kind, BaseModel) and f"defaults {kind.__name__}" not in found:
                fields = kind.model_fields
                found[f"defaults {kind.__name__}"] = {
                    key: to_jsonable_python(f.get_default(call_default_factory=True))
                    for key, f in fields.items()
                    if not f.is_required()
                }
                waiting.extend(f.annotation for f in fields.values())
    return found
