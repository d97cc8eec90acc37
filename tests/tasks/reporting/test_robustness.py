"""Errors under conditions, counted by hand."""

from dataclasses import replace

import pandas as pd
from report_models import make_model

from tasks.reporting.figures import noise_chart
from tasks.reporting.results import Model
from tasks.reporting.robustness import AS_RECORDED, conditions_of, noise_curves, robustness_section


def tried(name: str, errors: list[int], noisy: dict[float, list[int]]) -> Model:
    """A model tried on its first two utterances: at these SNRs, and through a telephone with 3 errors each."""
    rows = [
        {
            "id": f"u{i}",
            "condition": f"noise {snr:g}",
            "kind": "noise",
            "snr_db": snr,
            "errors": e,
            "reference_units": 10,
        }
        for snr, values in noisy.items()
        for i, e in enumerate(values)
    ]
    rows += [{"id": f"u{i}", "condition": "telephone", "kind": "telephone", "errors": 3} for i in range(2)]
    return replace(make_model(name, "teacher", errors), conditions=pd.DataFrame(rows).assign(reference_units=10))


MODEL = tried("m", [1, 0, 9, 9], {10.0: [1, 1], 0.0: [4, 2]})


def test_every_condition_has_a_row_and_so_has_the_same_audio_as_it_is() -> None:
    found = conditions_of([MODEL, MODEL])
    assert [(g.name, g.count, g.errors) for g in found.groups] == [
        (AS_RECORDED, 2, (0.05, 0.05)),
        ("noise 10", 2, (0.1, 0.1)),
        ("noise 0", 2, (0.3, 0.3)),
        ("telephone", 2, (0.3, 0.3)),
    ]


def test_the_curve_rises_by_level_and_ends_as_recorded() -> None:
    assert noise_curves([MODEL]) == [([0.0, 10.0], [0.3, 0.1], 0.05)]
    assert "as recorded" in noise_chart(noise_curves([MODEL]), "WER")


def test_one_level_is_no_curve_and_no_condition_no_section() -> None:
    assert noise_curves([tried("m", [0] * 4, {10.0: [1, 1]})]) == []
    section = robustness_section([make_model("m", "teacher", [0])])
    assert (section["conditions"].groups, section["noise_chart"]) == ((), "")
