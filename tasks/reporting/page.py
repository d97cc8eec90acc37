"""The page: one HTML file that needs nothing beside it. page.html includes a template for each section."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tasks.evaluation.power import impossible
from tasks.metric_names import ERROR_WORDS
from tasks.params.pipeline import Params
from tasks.reporting.breakdown import breakdowns
from tasks.reporting.canary import canary_section
from tasks.reporting.clips import clips
from tasks.reporting.comparisons import Comparison
from tasks.reporting.diagnosis import diagnose
from tasks.reporting.figures import error_chart, learning_curves, marker_symbol, themed
from tasks.reporting.forest import verdict_section
from tasks.reporting.forms import FormRow
from tasks.reporting.kept import Kept
from tasks.reporting.provenance import seeds, versions
from tasks.reporting.pseudo_label_summary import PseudoLabelSummary
from tasks.reporting.results import Model
from tasks.reporting.robustness import robustness_section
from tasks.reporting.teacher_warnings import teacher_warnings
from tasks.reporting.transcripts import most_disputed, unchosen
from tasks.reporting.verdict import conclude
from tasks.reporting.wording import compact, percent, points_of

TEMPLATES = Path(__file__).parent / "templates"
UNCHOSEN, DISPUTED = 3, 5


@dataclass(frozen=True)
class Sources:
    """what the page is made of; extras: what was not trained here; prepared: the folder with the audio."""

    params: Params
    models: Sequence[Model]
    extras: Sequence[Model]
    comparisons: Sequence[Comparison]
    forms: Sequence[FormRow]
    timings: Mapping[str, Any]
    card: Mapping[str, Any]
    card_svg: str
    quarantine: Counter[str]
    prepared: Path
    pseudo_labels: Sequence[PseudoLabelSummary] = ()
    kept: Sequence[Kept] = ()


def render(sources: Sources) -> str:
    """The whole page."""
    models = sources.models
    verdict = conclude(models, sources.comparisons, sources.params.evaluation.confidence)
    apart = {verdict.best, *(m.name for m in models if m.row["role"] == "teacher")}
    disputed = most_disputed(models, DISPUTED, apart if len(apart) > 1 else ())
    return _environment().get_template("page.html").render(
        css=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        name=sources.params.name,
        problem=sources.params.problem.kind,
        what=ERROR_WORDS[models[0].row["error_kind"]],
        confidence=sources.params.evaluation.confidence,
        verdict=verdict,
        warnings=teacher_warnings(models),
        apart=len(apart) > 1,
        breakdowns=breakdowns(models, verdict.best),
        **robustness_section(models),
        canary=canary_section(models, sources.params.evaluation, sources.params.teacher),
        models=models,
        **verdict_section(sources.comparisons, models, sources.params.evaluation),
        extras=sources.extras,
        quantised=any(m.row["role"] == "quantised" for m in sources.extras),
        remarks=impossible(sources.params, sources.prepared),
        symbols=Markup("".join(marker_symbol(i) for i in range(len(models) + len(sources.extras)))),
        place={m.name: i for i, m in enumerate([*models, *sources.extras])},
        widest=max(m.row["test_error_high"] for m in (*models, *sources.extras)),
        charts=_charts(models),
        diagnosis=diagnose(models, {name: one.objective for name, one in sources.params.students.items()}),
        unchosen=unchosen(models, UNCHOSEN),
        disputed=disputed,
        clips={name: Markup(uri) for name, uri in clips(sources.prepared, [one.id for one in disputed]).items()},
        forms=sources.forms, timings=sources.timings, pseudo_labels=sources.pseudo_labels, kept=sources.kept,
        card=sources.card,
        card_svg=Markup(themed(sources.card_svg, "card")),
        quarantine=sources.quarantine,
        versions=versions(),
        seeds=seeds(sources.params),
    )  # fmt: skip


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, compact=compact, points=points_of)
    return environment


def _charts(models: Sequence[Model]) -> list[tuple[str, Markup]]:
    """Titles and SVGs."""
    size = error_chart(models, "size_bytes", "ONNX file in MB", 1e-6)
    latency = error_chart(models, "latency_ms_p50", "median latency of an utterance in ms", 1.0)
    charts = {"Error against size": size, "Error against latency": latency, "Learning curves": learning_curves(models)}
    return [(title, Markup(svg)) for title, svg in charts.items()]
