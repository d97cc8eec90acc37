"""Optuna's side of a search: its storage, its sampler, and how a trial gets its point."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from tasks.experiments.tune.settings import Knob, Scalar, Search, active
from tasks.runner.kept_files import cut_to_whole_lines

OVER = "over_goal"
REPEATS, MOST_REPEATS = "repeats", 3


class Sampler(optuna.samplers.TPESampler):
    """TPE that draws at random until `startup` trials are finished.

    Optuna counts refused trials among them, and with two objectives cannot learn from refused ones alone.
    """

    def __init__(self, startup: int, seed: int, **settings: Any) -> None:
        super().__init__(seed=seed, n_startup_trials=startup, **settings)
        self.startup, self.at_random = startup, optuna.samplers.RandomSampler(seed)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(finished) < self.startup:
            return self.at_random.sample_independent(study, trial, param_name, param_distribution)
        return super().sample_independent(study, trial, param_name, param_distribution)


def open_study(search: Search, folder: Path) -> optuna.Study:
    """The search's study, begun or gone on with: a journal in its folder keeps every trial.

    The sampler's seed moves with the trials that there are, so that a resumed search does not draw the same again.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    cut_to_whole_lines(folder / "journal.log")
    storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    study = optuna.create_study(
        study_name=search.name,
        storage=storage,
        directions=["minimize"] * (2 if search.minimise == "both" else 1),
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=3),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # constraints and constant_liar, since Optuna 2
        study.sampler = Sampler(
            max(5, search.trials // 4),
            search.seed + len(study.get_trials(deepcopy=False)),
            constant_liar=True,
            constraints_func=_constraints if search.goal is not None and not search.minimises_error else None,
        )
    return study


def repeat_interrupted(study: optuna.Study) -> int:
    """Trials that nobody works at any more are marked failed, and their points come first; gives their number."""
    waiting = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in waiting:
        study.tell(trial.number, state=TrialState.FAIL)
        repeats = trial.user_attrs.get(REPEATS, 0) + 1
        if trial.params and repeats <= MOST_REPEATS:
            study.enqueue_trial(trial.params, user_attrs={REPEATS: repeats})
    return len(waiting)


def draw(search: Search, trial: Trial) -> dict[str, Scalar]:
    """A trial's point, key by key, so that keys below a choice are asked for only where they mean something."""
    point: dict[str, Scalar] = {}
    for key, knob in search.space.items():
        if active(knob, point):
            point[key] = _suggest(key, knob, trial)
    return point


def values(search: Search, error: float, cost: float) -> list[float]:
    """What Optuna is told of a finished trial."""
    return {"both": [error, cost], "measure": [cost]}.get(search.minimise, [error])


def _suggest(key: str, knob: Knob, trial: Trial) -> Scalar:
    if knob.choices is not None:
        label: Scalar = trial.suggest_categorical(key, knob.labels)
        return label
    assert knob.low is not None
    assert knob.high is not None
    if knob.whole:
        return trial.suggest_int(key, int(knob.low), int(knob.high), step=int(knob.step or 1), log=knob.log)
    return trial.suggest_float(key, knob.low, knob.high, step=knob.step, log=knob.log)


def _constraints(trial: FrozenTrial) -> Sequence[float]:
    """Above 0 where the goal is missed, by how much."""
    return (float(trial.user_attrs.get(OVER, 1.0)),)
