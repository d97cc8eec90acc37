"""docs/results.md and docs/results/*.md: their tables of figures are written from the CSVs beside them.

`python -m tasks.experiments.study.pages` writes what stands between

    <!-- table: FILE.csv
    columns: [label, valid, error]
    rows: {MODEL: what the page calls it}
    -->
    <!-- end -->

as `page_tables` says, or

    <!-- table: FILE.csv
    plain: true
    -->
    <!-- end -->

a CSV of finished cells, printed as it is. `--check` only names the pages whose tables differ from their CSVs.
All else on a page is prose.
"""

import csv
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml
from pydantic import ValidationError

from tasks.experiments.study.page_tables import PlainSpec, TableSpec, plain_table, table
from tasks.metric_names import error_name
from tasks.pages.generated import write_or_check

COMMAND = "python -m tasks.experiments.study.pages"
TABLE = re.compile(r"(<!-- table: (?P<files>[^\n]*)\n(?P<spec>.*?)\n-->\n)(?P<body>.*?)(?P<end><!-- end -->)", re.S)


def pages(project: Path) -> dict[Path, str]:
    """Every page of results as it should be."""
    folder = project / "docs" / "results"
    return {file: page(file, folder) for file in (folder.with_suffix(".md"), *sorted(folder.glob("*.md")))}


def page(file: Path, folder: Path) -> str:
    """One page with its tables written anew from CSVs in the folder; raises ValueError naming page and table."""

    def written(found: re.Match[str]) -> str:
        try:
            files = [folder / name for name in found["files"].split(", ")]
            return f"{found[1]}{made(found['spec'], files)}\n{found['end']}"
        except (OSError, ValueError, yaml.YAMLError, ValidationError) as error:
            raise ValueError(f"{file}: table: {found['files']}: {error}") from error

    text = file.read_text(encoding="utf-8")
    if len(TABLE.findall(text)) != max(text.count("<!-- table:"), text.count("<!-- end -->")):
        raise ValueError(f"{file}: a table has no end, or an end no table")
    return TABLE.sub(written, text)


def made(spec: str, files: Sequence[Path]) -> str:
    """The table that a marker asks for; raises ValueError and what pydantic, YAML and files raise."""
    asked = yaml.safe_load(spec)
    if isinstance(asked, dict) and "plain" in asked:
        if len(files) != 1:
            raise ValueError("a plain table is of one CSV")
        with files[0].open(encoding="utf-8", newline="") as file:
            return plain_table(PlainSpec.model_validate(asked), list(csv.reader(file, strict=True)))
    return table(TableSpec.model_validate(asked), {file.stem: read(file) for file in files})


def read(file: Path) -> pd.DataFrame:
    """A CSV of results, with the names that code has for errors."""
    table = pd.read_csv(file, dtype={"fold": str, "commit": str})
    return table.rename(columns=lambda column: error_name(column, "error"))


if __name__ == "__main__":
    sys.exit(write_or_check(pages(Path()), sys.argv[1:], COMMAND))
