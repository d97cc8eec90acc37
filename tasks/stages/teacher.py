"""Stage `teacher`: train one here, from nothing or from pre-trained weights, or adopt a checkpoint."""

from tasks.data.prepared import PreparedData
from tasks.params.pipeline import Params
from tasks.params.teachers import CheckpointTeacher
from tasks.params.trained import PretrainedTeacher
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter, Reporter
from tasks.teachers.adopt_checkpoint import adopt_checkpoint
from tasks.teachers.train_teacher import from_pretrained, train_from_scratch


def run(params: Params, paths: Paths, name: str = "", reporter: Reporter = NullReporter()) -> dict[str, float]:
    """Writes models/teacher/; returns the metrics of its best epoch."""
    data = PreparedData.load(paths.prepared, sample_rate_hz=params.frontend.sample_rate_hz)
    if isinstance(params.teacher, CheckpointTeacher):
        return adopt_checkpoint(params, params.teacher, paths, data, "teacher", reporter)
    if isinstance(params.teacher, PretrainedTeacher):
        return from_pretrained(params, params.teacher, paths, data, "teacher", reporter)
    return train_from_scratch(params, params.teacher, paths, data, reporter)
