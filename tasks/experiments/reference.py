"""docs/experiments.md and the JSON schemas of studies and searches, from the models that read them.

`python -m tasks.experiments.reference` writes all three; `--check` only says whether they are up to date.
"""

import sys
from pathlib import Path

from pydantic import BaseModel

from tasks.experiments.study.design import Study
from tasks.experiments.tune.settings import Search
from tasks.pages.generated import write_or_check
from tasks.pages.params_reference import reference
from tasks.params.json_schema import for_editors, schema_file, untitled_schema

PAGE = Path("docs/experiments.md")
COMMAND = "python -m tasks.experiments.reference"
INTRODUCTION = f"""# What studies and searches may hold

Written by `{COMMAND}` from the models in `tasks/experiments/`; a test holds it to them.
A key without a default must be written. [The guide](guide.md#studies-and-searches) says how they are run,
[params.md](params.md) what `params` may hold. `studies/study.schema.json` and `searches/search.schema.json` say the
same to editors, to which the first line of a file names them: `# yaml-language-server: $schema=study.schema.json`.
"""
SCHEMAS: dict[str, tuple[type[BaseModel], str]] = {
    "studies/study.schema.json": (Study, "kd study"),
    "searches/search.schema.json": (Search, "kd tune"),
}
"""Each file, the model that it describes, and the command that reads such a file."""


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for model, command in SCHEMAS.values():
        about = " ".join((model.__doc__ or "").split())
        heading = f"## {model.__name__}\n\nA file for `{command}`. {about}\n"
        parts.append(reference(untitled_schema(model), heading))
    return "\n".join(parts)


def schema_text(model: type[BaseModel], command: str) -> str:
    """The schema of a study or search as its file has it."""
    about = f"What a file for `{command}` may hold. Written by `{COMMAND}`."
    return schema_file(for_editors(untitled_schema(model), model.__name__.lower(), about))


def pages() -> dict[Path, str]:
    """All that is written: file to text."""
    return {PAGE: page()} | {Path(file): schema_text(*of) for file, of in SCHEMAS.items()}


if __name__ == "__main__":
    sys.exit(write_or_check(pages(), sys.argv[1:], COMMAND))
