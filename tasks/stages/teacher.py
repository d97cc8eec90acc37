"""Stage `teacher`: train one here, or adopt a checkpoint."""

import torch

from kd.audio.frontend import LogMel
from kd.training.convergence import unfinished
from tasks.checkpoint import Checkpoint, save_checkpoint
from tasks.data.prepared import PreparedData
from tasks.data.select_utterances import labelled, select_utterances
from tasks.params.pipeline import Params, TrainedTeacher
from tasks.params.teachers import CheckpointTeacher
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter, Reporter
from tasks.teachers.adopt_checkpoint import adopt_checkpoint, training_facts
from tasks.training.history import best_metrics, write_history
from tasks.training.new_model import new_model
from tasks.training.train import Run, train


def run(params: Params, paths: Paths, name: str = "", reporter: Reporter = NullReporter()) -> dict[str, float]:
    """Writes models/teacher/; returns the metrics of its best epoch."""
    data = PreparedData.load(paths.prepared, sample_rate_hz=params.frontend.sample_rate_hz)
    if isinstance(params.teacher, CheckpointTeacher):
        return adopt_checkpoint(params, params.teacher, paths, data, "teacher", reporter)
    return _train(params, params.teacher, paths, data, reporter)


def _train(
    params: Params, teacher: TrainedTeacher, paths: Paths, data: PreparedData, reporter: Reporter
) -> dict[str, float]:
    frontend = LogMel(params.frontend)
    utterances = labelled(select_utterances(data, teacher.supervision), "teacher")
    torch.manual_seed(teacher.training.seed)
    model = new_model(params, teacher.model, data, utterances, frontend, teacher.training.batch_seconds)
    how = teacher.objective, teacher.training, teacher.augment
    trained = train(Run(model, frontend, data, *how, utterances=utterances, features=paths.features), reporter)
    if trained.writes:
        checkpoint = Checkpoint(
            trained.model,
            params.frontend,
            data.vocabulary,
            role="teacher",
            init="random",
            objective=teacher.objective.describe(),
            facts=training_facts(unfinished(trained.history), reporter),
        )
        save_checkpoint(paths.model("teacher"), checkpoint)
        write_history(paths.model("teacher"), trained.history)
    return best_metrics(trained.history)
