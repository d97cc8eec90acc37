"""A small search over a tiny student, as its file says it."""

import json
from pathlib import Path
from typing import Any

import yaml

HERE = "students.candidate."
TEACHER = {"family": "cnn", "stem": 6, "width": 8, "layers": 2, "hidden": 8, "kernel": 3}
TRAINING = {"epochs": 2, "batch_seconds": 10, "optimiser": {"name": "adam", "lr": 0.01}}


def design(**changes: Any) -> dict[str, Any]:
    params = {
        "problem": {"kind": "keyword"},
        "corpus": {"kind": "manifest", "root": "corpus", "file": "manifest.jsonl"},
        "preprocess": {"workers": 1},
        "frontend": {"num_mels": 16},
        "teacher": {"source": "train", "model": TEACHER, "training": TRAINING},
        "student_training": TRAINING,
        "student_augment": {},
        "students": {
            "candidate": {
                "init": "teacher",
                "operators": [{"op": "slice", "keep": {"hidden": 4}}],
                "teacher": "teacher",
                "objective": {"label_weight": 1.0, "beta": 1.0},
            },
            "bystander": {"init": "random", "model": TEACHER, "teacher": "none"},
        },
        "export": {},
        "evaluation": {},
    }
    space = {
        f"{HERE}operators.0.keep.hidden": {"from": 1, "to": 7},
        f"{HERE}objective.beta": {"from": 0.5, "to": 2.0, "log": True},
    }
    found = {"name": "tiny", "params": params, "student": "candidate", "space": space, "trials": 4, **changes}
    return json.loads(json.dumps(found))


def written(root: Path, **changes: Any) -> Path:
    file = root / "tiny.yaml"
    file.write_text(yaml.safe_dump(design(**changes), sort_keys=False))
    return file
