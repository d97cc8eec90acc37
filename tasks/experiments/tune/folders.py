"""Where the trials of a search lie, and what came of them. Loads without torch."""

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

from kd.config.renamed import in_old_words
from tasks.experiments.tune.settings import Point, Search
from tasks.experiments.tune.trial_params import settle
from tasks.metric_names import plain_errors
from tasks.params.errors import ParamsError
from tasks.runner.kept_files import read_whole_json

RESULT, EVENTS, POINT = "result.json", "events.jsonl", "point.json"


def trial_folder(search: Search, point: Point, project: Path) -> Path:
    """The folder of a trial: one for equal parameters, so that no student is trained twice."""
    try:
        values = settle(search, point)
    except ParamsError:
        values = dict(point)
    digest = blake2b(json.dumps(in_old_words(values), sort_keys=True).encode(), digest_size=6).hexdigest()
    return search_folder(search, project) / "trials" / digest


def search_folder(search: Search, project: Path) -> Path:
    """The folder of a search, for as long as its digest is the same."""
    return project / "scratch" / "searches" / f"{search.name}-{search.digest}"


def read_result(folder: Path) -> dict[str, Any] | None:
    """What came of a trial, with the names that code has for errors; None where it is not over."""
    found = read_whole_json(folder / RESULT)
    return None if found is None else plain_errors(found)
