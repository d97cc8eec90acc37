"""The report says how much of a teacher's transcripts was kept, and shows what was dropped, by reason."""

from pathlib import Path

import pandas as pd
import pytest
from jinja2 import Environment, FileSystemLoader

from tasks.reporting import page
from tasks.reporting.pseudo_label_summary import Sample, read_summaries, summarise
from tasks.reporting.wording import percent

REASONS = ["", "loop", "unsure", "", "unsure", "unsure", "unsure", ""]
TABLE = pd.DataFrame(
    {
        "id": [f"u{i}" for i in range(8)],
        "duration_s": [3600.0, 900.0, 450.0, 1800.0, 450.0, 450.0, 450.0, 900.0],
        "raw": ["one", "go go go", "<b>", "two", "b", "c", "d", "three"],
        "reason": REASONS,
        "detail": [f"because {i}" if reason else "" for i, reason in enumerate(REASONS)],
    }
)


def test_kept_and_dropped_by_hand(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "other").mkdir()
    TABLE.to_parquet(tmp_path / "small" / "labels.parquet")
    (summary,) = read_summaries([tmp_path / "other", tmp_path / "small"])
    assert (summary.student, summary.utterances, summary.kept) == ("small", 8, 3)
    assert summary.kept_hours == 1.75
    assert summary.kept_share == pytest.approx(6300 / 9000)
    assert [(d.reason, d.utterances, d.hours) for d in summary.dropped] == [("unsure", 4, 0.5), ("loop", 1, 0.25)]
    assert summary.dropped[0].samples == (
        Sample("u2", 450.0, "<b>", "because 2"), Sample("u5", 450.0, "c", "because 5"),
        Sample("u6", 450.0, "d", "because 6"),
    )  # fmt: skip


def test_the_section_shows_it_and_escapes_what_was_heard() -> None:
    environment = Environment(loader=FileSystemLoader(page.TEMPLATES), autoescape=True)
    environment.filters["percent"] = percent
    template = environment.get_template("pseudo_labels.html")
    text = template.render(pseudo_labels=[summarise("small", TABLE)])
    assert "3 of 8 transcripts kept" in text
    assert "go go go" in text
    assert "because 6" in text
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    assert template.render(pseudo_labels=[]).strip() == ""
