"""Numbers as the report writes them."""

import pytest

from tasks.reporting.wording import compact, points_of, share


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (1 / 19, "1/19 of its bytes"),
        (0.4, "1/2 of its bytes"),
        (0.76, "76\u202f% of its bytes"),
        (1.02, "the same bytes"),
        (1.31, "1.3 times its bytes"),
    ],
)
def test_shares(ratio: float, expected: str) -> None:
    assert share(ratio, "bytes") == expected


def test_differences_have_a_sign() -> None:
    assert (points_of(0.0213), points_of(-0.0213)) == ("+2.1", "−2.1")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (79_837, "79.8 k"),
        (7_135_200, "7.14 M"),
        (999_600, "1000 k"),
        (12, "12.0"),
        (0, "0"),
        (0.00123, "0.00123"),
        (3.2e9, "3.20 G"),
    ],
)
def test_compact_numbers(value: float, expected: str) -> None:
    assert compact(value) == expected
