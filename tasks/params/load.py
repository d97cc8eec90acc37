"""From what YAML gave to parameters to run with: built, checked, and completed where a default depends on others."""

from collections.abc import Iterator
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tasks.params.checks.find import find_problems
from tasks.params.completion import with_defaults
from tasks.params.errors import ParamsError, explain
from tasks.params.pipeline import READ_BY_DVC, Params
from tasks.params.strict_yaml import read_yaml


def parse_params(data: Any) -> Params:
    """Params from what YAML gave; raises ParamsError with one line for each mistake."""
    try:
        params = Params.model_validate(data)
    except ValidationError as error:
        raise ParamsError(explain(error, Params)) from None
    if problems := list(find_problems(params)):
        raise ParamsError(list(dict.fromkeys(problems)))
    return with_defaults(params)


def load_params(path: Path) -> Params:
    """Read and check params.yaml; raises ParamsError with one line for each mistake."""
    data = read_yaml(path)
    params = parse_params(data)
    if left_out := list(_left_out(data)):
        raise ParamsError(left_out)
    return params


def _left_out(data: Any) -> Iterator[str]:
    for _, path, default in READ_BY_DVC:
        *above, key = path.split(".")
        if key not in reduce(getitem, above, data):
            yield f"{path}: missing: it has a default, but DVC reads it in this file: write {key}: {default}"
