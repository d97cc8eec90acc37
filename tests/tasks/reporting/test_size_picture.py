"""The picture of README.md, and that it shows the figures of the run whose table is committed."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.reporting.size_picture import LABEL_GAP, PICTURE, RESULTS, apart, size_picture

REPO = Path(__file__).parents[3]


def labels(svg: str) -> list[str]:
    return re.findall(r">([a-z]+  [\d.]+ %)<", svg)


def test_the_committed_picture_shows_the_committed_figures():
    results = pd.read_csv(REPO / RESULTS)
    expected = [f"{row.model}  {100 * row.test_error:.1f} %" for row in results.itertuples()]
    assert labels((REPO / PICTURE).read_text(encoding="utf-8")) == expected
    assert PICTURE.as_posix() in (REPO / "README.md").read_text(encoding="utf-8")


def test_readmes_table_has_the_committed_figures():
    """Rows are `| MODEL: what it is | WER (95 %) | MB |`."""
    text = (REPO / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| (\w+)(?:: [^|]*)? \| ([^|]*\([^|]*\)) \| ([\d.]+) \|$", text, re.M)
    assert found == [
        (
            row.model,
            f"{100 * row.test_error:.1f} % ({100 * row.test_error_low:.1f} to {100 * row.test_error_high:.1f})",
            f"{row.size_bytes / 1e6:.2f}",
        )
        for row in pd.read_csv(REPO / RESULTS).itertuples()
    ]


def test_the_same_table_gives_the_same_picture():
    results = pd.read_csv(REPO / RESULTS)
    assert size_picture(results) == size_picture(results)


def test_labels_that_would_cover_one_another_are_moved_apart_in_their_order():
    places = np.array([0.9, 0.5, 0.51, 0.5])
    moved = apart(places)
    assert np.diff(np.sort(moved)).min() > 0.99 * LABEL_GAP
    assert moved[0] == 0.9
    assert moved[1] < moved[3] < moved[2]
