"""Model cards: what each model is, where it comes from, its error rates, and where it will fail."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.metric_names import ERROR_WORDS
from tasks.params.pipeline import Params
from tasks.reporting.forms import FormRow
from tasks.reporting.licences import licence_of
from tasks.reporting.page import Sources
from tasks.reporting.results import Model
from tasks.reporting.wording import compact, percent
from tasks.runner.atomic_io import write_whole
from tasks.runner.paths import Paths


def write_cards(paths: Paths, sources: Sources) -> None:
    """reports/cards/NAME.md for every model."""
    paths.cards.mkdir(parents=True, exist_ok=True)
    for model in sources.models:
        text = render_card(sources, model, paths.export(model.name))
        write_whole(paths.cards / f"{model.name}.md", text)


def render_card(sources: Sources, model: Model, export: Path) -> str:
    """One model's card in Markdown; export: the folder of its exported forms."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )  # no escaping: it is no HTML
    environment.filters.update(percent=percent, compact=compact)
    params, forms = sources.params, [row for row in sources.forms if row.model == model.name]
    description = json.loads((export / "export.json").read_text(encoding="utf-8"))
    return environment.get_template("card.md").render(
        model=model,
        problem=params.problem.kind,
        num_units=len((export / "tokens.txt").read_text(encoding="utf-8").splitlines()),
        frontend=description["frontend"],
        frontend_included=description["frontend_included"],
        what=ERROR_WORDS[model.row["error_kind"]],
        forms=forms,
        confidence=params.evaluation.confidence,
        timings=sources.timings,
        licence=licence_of(params.corpus),
        card=sources.card,
        comparisons=[c for c in sources.comparisons if c.model == model.name],
        limits=list(limits(params, sources.card, forms)),
    )


def limits(params: Params, card: Mapping[str, Any], forms: Sequence[FormRow]) -> Iterator[str]:
    """What nobody should expect of it, as far as the parameters and the data tell."""
    if params.corpus.kind == "synthetic":
        yield "It was trained and tested on synthetic speech: nothing is known of its errors on human voices."
    if params.problem.kind == "transcription":
        yield f"It writes these characters and no others: `{params.problem.units.alphabet}`."
    else:
        yield "It names one of its keywords whatever is said: it has no answer for none of them."
    shared, tested = card["speakers_in_more_than_one_split"], card["splits"]["test"]["speakers"]
    new = f"{shared} speakers are in more than one part, so that new ones may fare worse" if shared else "all new to it"
    yield f"Its errors were counted on {tested} speakers, {new}."
    shortest, longest = params.preprocess.min_seconds, params.preprocess.max_seconds
    yield f"It was trained on utterances of {shortest:g} to {longest:g} s; shorter and longer ones are untried."
    if refused := [row.title for row in forms if not row.gate["released"]]:
        yield f"Refused at the gate, and not to be used: {', '.join(refused)}."
