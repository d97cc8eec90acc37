"""What a run tells MLflow. Trouble there is told in one line and ends no run; the next run makes up for it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from flows.run.model_registry import register_best
from tasks.params.pipeline import Params
from tasks.tracking.pipeline_run import PipelineRun, is_recorded
from tasks.tracking.registry import due

Say = Callable[[str], None]


class Recording:
    """The MLflow run of one pipeline run; `run_id` is None where there is none."""

    def __init__(self, root: Path, params: Params, say: Say = print) -> None:
        self._say = say
        self._run: PipelineRun | None = None
        try:
            self._run = PipelineRun(root, params)
        except Exception as error:
            self._tell(error)

    @property
    def run_id(self) -> str | None:
        return None if self._run is None else self._run.run_id

    def finish(self, status: str, verdicts: Mapping[str, str], files: Mapping[str, str]) -> None:
        """As PipelineRun.finish."""
        try:
            if self._run is not None:
                self._run.finish(status, verdicts, files)
        except Exception as error:
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        self._say(_trouble("this run is not recorded in MLflow", error))


def complete(root: Path, params: Params, say: Say = print) -> None:
    """Where everything is up to date: record what a run that was killed at its end, or DVC alone, did not."""
    try:
        if not is_recorded(root, params.name):
            PipelineRun(root, params).finish("FINISHED", {}, {})
        if due(root, params.name):
            register_best(root, say)
    except Exception as error:
        say(_trouble("the last run is not recorded in MLflow", error))


def _trouble(what: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:200]
    return f"{what} ({type(error).__name__}: {reason}); the next `kd run` tries again"
