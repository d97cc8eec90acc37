"""Which student to take: the one choice of the report's headline and of MLflow's candidate."""

from collections.abc import Iterable, Mapping
from typing import Any

Row = Mapping[str, Any]


def best_student(rows: Iterable[Row]) -> str | None:
    """Name of the best of role `student`; None without any: baselines and teachers are there for comparison.

    rows: those of reports/results.csv.
    """
    return lowest(row for row in rows if row["role"] == "student")


def lowest(rows: Iterable[Row]) -> str | None:
    """The model with the lowest error on the *validation* part; of equals, the one of fewest bytes.

    The test part has no say: it is there to judge the choice.
    """
    best = min(rows, key=lambda row: (row["valid_error"], row["size_bytes"], row["model"]), default=None)
    return None if best is None else str(best["model"])
