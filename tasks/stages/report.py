"""Stage `report`: reports/results.csv, one row a model, reports/report.html, one page that needs nothing
else, and reports/cards/, a Markdown card a model."""

import json
from collections import Counter

import pandas as pd

from tasks.params.pipeline import Params
from tasks.reporting.card import write_cards
from tasks.reporting.comparisons import compare_all, verdicts
from tasks.reporting.extras import external_recognisers, quantised_teacher
from tasks.reporting.forms import read_forms
from tasks.reporting.kept import read_kept
from tasks.reporting.page import Sources, render
from tasks.reporting.pseudo_label_summary import read_summaries
from tasks.reporting.results import read_model, write_results
from tasks.runner.atomic_io import write_whole
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter, Reporter


def run(params: Params, paths: Paths, name: str = "", reporter: Reporter = NullReporter()) -> dict[str, float]:
    """Write the table, the page and the models' cards; gives the test error of every model."""
    timings_file = paths.reports / "timings.json"
    if not timings_file.is_file():
        raise ValueError(f"{timings_file} is missing: run the stage profile first")
    timings = json.loads(timings_file.read_text(encoding="utf-8"))
    models = [read_model(paths, model, timings) for model in ("teacher", *params.students)]
    others = external_recognisers(params, paths.root, models[0])
    quantised = quantised_teacher(paths, models[0])
    extras = [*others, *([quantised] if quantised else [])]
    comparisons = compare_all(models, params.evaluation, extras)
    rows = [*models, *others]
    write_results(paths.reports / "results.csv", rows, verdicts(rows, comparisons))
    sources = Sources(
        params=params,
        models=models,
        extras=extras,
        comparisons=comparisons,
        forms=[row for model in models for row in read_forms(paths, model.name, timings)],
        timings=timings,
        card=json.loads((paths.prepared / "card.json").read_text(encoding="utf-8")),
        card_svg=(paths.prepared / "card.svg").read_text(encoding="utf-8"),
        quarantine=Counter(pd.read_csv(paths.prepared / "quarantine.csv")["reason"].tolist()),
        prepared=paths.prepared,
        pseudo_labels=list(read_summaries([paths.model(student) for student in params.students])),
        kept=read_kept(paths, models, {name: r.init for name, r in params.students.items() if r.init != "random"}),
    )
    write_cards(paths, sources)
    page = paths.reports / "report.html"
    write_whole(page, render(sources))
    reporter.say(f"report: {page}")
    return {f"{model.name}/test_error": float(model.row["test_error"]) for model in models}
