"""What models say against their own training, also where the stage that made them does not run."""

import json
from pathlib import Path

from flows.dvc_state.graph import Node


def remarks(root: Path, node: Node) -> list[str]:
    """A line for each model among a stage's outputs whose training ended too early."""
    files = [file for out in node.outs if (file := root / out / "config.json").is_file()]
    facts = [json.loads(file.read_text(encoding="utf-8")).get("facts", {}) for file in files]
    return [f"warning: {fact['unfinished']}" for fact in facts if "unfinished" in fact]
