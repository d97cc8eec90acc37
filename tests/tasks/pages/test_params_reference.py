"""docs/params.md: up to date, whole, and with links that lead somewhere."""

import re
from pathlib import Path

from tasks.pages.generated import stale, write_or_check
from tasks.pages.params_reference import COMMAND, PAGE, page
from tasks.params.json_schema import plain_schema

REPO = Path(__file__).parents[3]
TEXT = page()


def test_the_committed_page_is_up_to_date() -> None:
    assert stale({REPO / PAGE: TEXT}) == [], f"run `{COMMAND}` and commit what it writes"


def test_every_key_says_what_it_means() -> None:
    """But for those that only name a form of the section, such as `kind: synthetic`."""
    schema = plain_schema()
    silent = [
        f"{name}.{key}"
        for name, section in [("Params", schema), *schema["$defs"].items()]
        for key, value in section["properties"].items()
        if "description" not in value and "const" not in value
    ]
    assert silent == ["Calibrated.by", "Magnitude.by"]  # which name a form each, and which of its kinds
    assert [name for name, section in schema["$defs"].items() if "description" not in section] == []


def test_every_link_leads_to_a_section() -> None:
    headings = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
    anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    assert len(set(anchors)) == len(anchors) == len(plain_schema()["$defs"])
    assert set(re.findall(r"\]\(#([^)]*)\)", TEXT)) <= set(anchors)


def test_lines_by_hand() -> None:
    """Type, default, limits and unit, as they stand in the models."""
    assert "| `snr_db` | number | — | ≥ -30, ≤ 60 | signal-to-noise ratio (dB) |" in TEXT
    assert "| `batch_seconds` | number | — | > 0 | audio per batch, before padding (s) |" in TEXT
    assert "| `trim_db` | number or null | `40.0` | > 0 | " in TEXT
    assert "| `{name: adamw, lr: 0.002}` |  | with its learning rate |" in TEXT
    assert "| `margin` | `kind`: [absolute](#margin-kind-absolute), [relative](#margin-kind-relative) | " in TEXT


def test_a_check_writes_nothing_and_says_what_to_do(tmp_path, capsys) -> None:
    file = tmp_path / "page.md"
    assert write_or_check({file: "new\n"}, ["--check"], "a command") == 1
    assert capsys.readouterr().err == f"{file} is not up to date: run a command\n"
    assert not file.exists()
    assert write_or_check({file: "new\n"}, [], "a command") == 0
    assert write_or_check({file: "new\n"}, ["--check"], "a command") == 0
    assert file.read_text(encoding="utf-8") == "new\n"
    assert write_or_check({file: "new\n"}, ["--chek"], "a command") == 2
