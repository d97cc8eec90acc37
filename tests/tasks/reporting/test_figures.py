"""Charts of the report: colours, marks, any number of models."""

import re

from report_models import BASELINE, STUDENT, TEACHER, make_model

from tasks.reporting.figures import error_chart, learning_curves, marker_symbol


def test_charts_take_every_colour_from_the_page() -> None:
    models = [TEACHER, BASELINE, STUDENT]
    for svg in (error_chart(models, "size_bytes", "MB", 1e-6), learning_curves(models), marker_symbol(2)):
        colours = set(re.findall(r"(?:stroke|fill): ?([^;\"]+)", svg))
        assert colours <= {"none", "currentColor", "var(--grid)", *(f"var(--model-{i})" for i in range(8))}
        assert "var(--model-2)" in svg
        assert "DOCTYPE" not in svg
        assert "metadata" not in svg


def test_models_of_one_size_are_drawn_apart() -> None:
    svg = error_chart([TEACHER, BASELINE, STUDENT], "size_bytes", "MB", 1e-6)
    markers = re.findall(r'<use xlink:href="#[\w-]+" x="([\d.]+)" y="[\d.]+" style="fill: var\(--model-[12]\)', svg)
    assert len(set(markers)) == 2


def test_a_colour_for_any_number_of_models() -> None:
    models = [make_model(f"m{i}", "student", [i % 5 + 1] * 8, size_bytes=1e6 * (i + 1)) for i in range(20)]
    assert "var(--model-7)" in error_chart(models, "size_bytes", "MB", 1e-6)
