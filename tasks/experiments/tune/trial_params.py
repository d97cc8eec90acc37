"""A point of the space as parameters: the search's params with the point's values, and the students that it needs."""

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from tasks.experiments.study.design import make_absolute
from tasks.experiments.tune.settings import Point, Search, random_points
from tasks.params.errors import ParamsError
from tasks.params.load import parse_params
from tasks.params.overrides import put
from tasks.params.pipeline import Params


def settle(search: Search, point: Point) -> dict[str, Any]:
    """The point's params, as YAML has them; raises ParamsError where a key of the space cannot be set."""
    data = json.loads(json.dumps(search.params))
    for key, label in point.items():
        try:
            put(data, key, json.loads(json.dumps(search.space[key].value(label))))
        except KeyError as error:
            raise ParamsError([f"space.{error.args[0]}"]) from None
    needed = _needed(data["students"], search.student)
    data["students"] = {name: recipe for name, recipe in data["students"].items() if name in needed}
    return dict(data)


def trial_params(search: Search, point: Point, project: Path) -> Params:
    """Checked, with absolute paths of what is read; raises ParamsError where the combination is impossible."""
    data = settle(search, point)
    make_absolute(data, project)
    return parse_params(data)


def check_space(search: Search) -> None:
    """Raises ParamsError where no point of many is possible: with the commonest reasons.

    Also where the space varies a training that no student of it reads.
    """
    _check_training_is_read(search)
    reasons: Counter[str] = Counter()
    for point in random_points(search):
        try:
            parse_params(settle(search, point))
            return
        except ParamsError as error:
            reasons.update(error.lines)
    lines = [line for line, _ in reasons.most_common(5)]
    raise ParamsError(["space: none of many points taken at random is possible: mend what is commonest:", *lines])


def _check_training_is_read(search: Search) -> None:
    shared = [key for key in search.space if key.split(".")[0] == "student_training"]
    students: list[dict[str, Any]] = []
    for point in random_points(search) if shared else ():
        with suppress(ParamsError):
            students += settle(search, point)["students"].values()
    if students and all(recipe.get("training") for recipe in students):
        own = f"students.{search.student}.training"
        raise ParamsError([f"space.{shared[0]}: does nothing, since {own} is given: vary {own}.…, or remove {own}"])


def recipe_yaml(search: Search, point: Point) -> str:
    """The point ready for params.yaml: the student with a training of its own, and other sections that are set."""
    data = settle(search, point)
    recipe = data["students"][search.student]
    if not recipe.get("training"):
        recipe["training"] = data["student_training"]
    sections = {key.split(".")[0] for key in (*search.space, *search.overrides)} - {"students", "student_training"}
    chosen = {section: data[section] for section in sorted(sections)}
    text: str = yaml.safe_dump({**chosen, "students": data["students"]}, sort_keys=False, default_flow_style=None)
    return text


def _needed(students: dict[str, Any], name: str) -> set[str]:
    """The student and those that it is made from or learns from."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        if (one := waiting.pop()) in students and one not in found:
            found.add(one)
            waiting += [str(students[one].get("init")), str(students[one].get("teacher"))]
    return found
