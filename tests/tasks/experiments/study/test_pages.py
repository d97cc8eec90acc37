"""docs/results.md and docs/results/: tables agree with their CSVs, every CSV is on a page, links lead somewhere."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from tasks.experiments.study.page_tables import PlainSpec, TableSpec, plain_table, table
from tasks.experiments.study.pages import COMMAND, page, pages
from tasks.pages.generated import stale

REPO = Path(__file__).parents[4]
LONGEST = 150
NO_TABLE = {"search-embedded-tenth"}
"""Figures of which only the winner is told, in prose."""


@pytest.fixture(scope="module")
def written_pages() -> dict[Path, str]:
    return pages(REPO)


def test_tables_are_what_their_csvs_say(written_pages: dict[Path, str]) -> None:
    assert stale(written_pages) == [], f"run `{COMMAND}` and commit what it writes"


def test_every_csv_is_told_on_a_page(written_pages: dict[Path, str]) -> None:
    asked = {
        name
        for text in written_pages.values()
        for names in re.findall(r"<!-- table: (.*)", text)
        for name in names.split(", ")
    }
    files = {file.name for file in (REPO / "docs" / "results").glob("*.csv") if not file.stem.endswith("-curves")}
    assert asked == files - {f"{stem}.csv" for stem in NO_TABLE}
    for stem in NO_TABLE:
        assert f"{stem}.csv" in written_pages[REPO / "docs" / "results" / f"{stem}.md"]


def test_links_lead_somewhere_and_every_page_is_named_on_the_first(written_pages: dict[Path, str]) -> None:
    answers = REPO / "docs" / "results.md"
    assert len(written_pages[answers].splitlines()) <= LONGEST
    for file, text in written_pages.items():
        for link in re.findall(r"\]\(([^)#]+)\)", re.sub(r"`[^`]*`", "", text)):
            assert (file.parent / link).exists(), f"{file.name}: {link}"
        assert file == answers or f"(results/{file.name})" in written_pages[answers]


def rows(**errors: list[int]) -> pd.DataFrame:
    """Errors out of 100 of each model with each seed, of one fold and two speakers who err alike."""
    return pd.DataFrame(
        {
            "model": model, "fold": "a", "seed": seed, "params": 1000 + seed, "nonzero_params": 1000,
            "cell": f"a-{seed}", "macs_per_audio_second": 2e6, "valid_error": 0.1, "best_epoch": 4 + seed,
            "errors": wrong, "units": 100, "role": "baseline" if model == "new" else "student",
            "by_speaker": json.dumps({"x": [wrong // 2, 50], "y": [wrong // 2, 50]}),
        }
        for model, of_seed in errors.items()
        for seed, wrong in enumerate(of_seed)
    )  # fmt: skip


def spec(*columns: str, **called: str | tuple[str, ...]) -> TableSpec:
    return TableSpec(columns=columns, rows=called)


def written(asked: TableSpec, files: dict[str, pd.DataFrame]) -> list[str]:
    """Its lines without intervals, which `test_summary` holds to what they should be."""
    return [re.sub(r" \([^)]*\)", "", line) for line in table(asked, files).splitlines()]


STUDY = {"one": rows(teacher=[10, 10], new=[30, 34], cut=[20, 20])}


def test_a_table_by_hand() -> None:
    """Differences are to the baseline of the size, or to whom the column names; an epoch counts from 1."""
    asked = spec(
        "label", "text = shape", "sizes", "test = errs", "minus", "minus cut = more", "between", "epoch", "fold a",
        new=("**new**", "wide"), cut=("cut", "lean"),
    )  # fmt: skip
    assert written(asked, STUDY) == [
        "| model | shape | parameters | errs | minus baseline | more | between seeds | best epoch | fold a |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
        "| **new** | wide | 1,000 to 1,001 | 32.0% | — | +12.0% | ± 2.8% | 5 to 6 | 32.0% |",
        "| cut | lean | 1,000 to 1,001 | 20.0% | -12.0% | — | — | 5 to 6 | 20.0% |",
    ]


def test_rows_of_several_files_name_theirs() -> None:
    files = {**STUDY, "two": rows(teacher=[8, 8], cut=[14, 14])}
    asked = TableSpec(columns=("label", "test", "minus teacher"), rows={"two:cut": "second", "one:cut": "first"})
    assert written(asked, files)[2:] == [
        "| second | 14.0% | +6.0% |",
        "| first | 20.0% | +10.0% |",
    ]


def test_a_benchmarks_epochs_are_compared_round_by_round() -> None:
    """Medians of 2, 2, 4 over 1, 2, 2, without the warm-up; each tool with itself."""
    seconds = {"labels alone": [9, 1, 2, 2], "stored": [9, 2, 2, 4], "other: labels alone": [9, 1, 1, 1]}
    seconds["other: stored"] = [9, 3, 3, 3]
    epochs = pd.DataFrame(
        {"job": "j", "way": way, "round": turn, "seconds": value}
        for way, values in seconds.items()
        for turn, value in enumerate(values)
    )
    called = {"j: labels alone": "a", "j: stored": "b", "j: other: stored": "c"}
    assert table(TableSpec(columns=("label", "seconds", "ratio"), rows=called), {"cost": epochs}).splitlines()[2:] == [
        "| a | 2.000 | — |",
        "| b | 2.000 | 2.000 (1.000 to 2.000) |",
        "| c | 3.000 | 3.000 (3.000 to 3.000) |",
    ]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (spec("label", "test", cat="cat"), "no row 'cat'; there are teacher, new, cut"),
        (spec("label", "tests", cut="cut"), "no column 'tests'"),
        (spec("label", "fold b", cut="cut"), "no fold 'b'"),
        (spec("label", "minus cat", cut="cut"), "no model 'cat'"),
        (spec("label", cut=("cut", "lean")), "more texts than the table has columns"),
        (spec("label", "text", cut="cut"), "fewer texts than the table has columns"),
    ],
)
def test_what_is_not_there_is_named(asked: TableSpec, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        table(asked, STUDY)


CELLS = [["", "size", "made of"], ["one", "1,000", "a, b"], ["**two**", "", "c"]]


def test_a_plain_table_by_hand(tmp_path: Path) -> None:
    """Figures right, words left, cells as they are; quoted commas are of a cell."""
    lines = ["| | size | made of |", "|---|--:|---|", "| one | 1,000 | a, b |", "| **two** | | c |"]
    assert plain_table(PlainSpec(plain=True, left=("made of",)), CELLS).splitlines() == lines
    (tmp_path / "one.csv").write_text(',size,made of\none,"1,000","a, b"\n**two**,,c\n', encoding="utf-8")
    mark = "<!-- table: one.csv\nplain: true\nleft: [made of]\n-->\n"
    (tmp_path / "page.md").write_text(f"{mark}<!-- end -->\n", encoding="utf-8")
    assert page(tmp_path / "page.md", tmp_path) == "\n".join([f"{mark}{lines[0]}", *lines[1:], "<!-- end -->\n"])


@pytest.mark.parametrize(
    ("left", "cells", "said"),
    [
        (("colour",), CELLS, "no column 'colour'; there are , size, made of"),
        ((), [*CELLS, ["three"]], "rows of 1, 3 cells"),
        ((), [], "rows of no cells"),
    ],
)
def test_a_plain_table_that_cannot_be_is_refused(left: tuple[str, ...], cells: list[list[str]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        plain_table(PlainSpec(plain=True, left=left), cells)


def test_a_page_is_written_between_its_marks_alone(tmp_path: Path) -> None:
    STUDY["one"].to_csv(tmp_path / "one.csv", index=False)
    file = tmp_path / "page.md"
    mark = "<!-- table: one.csv\ncolumns: [label, test]\nrows: {cut: smaller}\n-->\n"
    file.write_text(f"before\n\n{mark}old\n<!-- end -->\n\nafter 20.0%\n", encoding="utf-8")
    new = f"before\n\n{mark}| model | test error |\n|---|--:|\n| smaller | 20.0% |\n<!-- end -->\n\nafter 20.0%\n"
    assert page(file, tmp_path) == new
    file.write_text(new, encoding="utf-8")
    assert page(file, tmp_path) == new
    for wrong, said in (
        (mark, "has no end"),
        (mark.replace("one.csv", "no.csv") + "<!-- end -->", "table: no.csv: "),
        ("<!-- table: one.csv, two.csv\nplain: true\n-->\n<!-- end -->", "a plain table is of one CSV"),
    ):
        file.write_text(wrong, encoding="utf-8")
        with pytest.raises(ValueError, match=f"page.md: .*{said}"):
            page(file, tmp_path)
