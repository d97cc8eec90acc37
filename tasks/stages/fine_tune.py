"""Stage `adopt_teacher NAME` of a pre-trained teacher: a module of its own, since only this one trains.

So a loss that is edited makes no transcripts of Whisper stale.
"""

from tasks.data.prepared import PreparedData
from tasks.params.pipeline import Params
from tasks.params.trained import PretrainedTeacher
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter, Reporter
from tasks.teachers.train_teacher import from_pretrained


def run(params: Params, paths: Paths, name: str = "", reporter: Reporter = NullReporter()) -> dict[str, float]:
    """Writes models/NAME/: the encoder with a new head, trained where `fine_tune` says how."""
    settings = params.teachers[name]
    assert isinstance(settings, PretrainedTeacher)
    data = PreparedData.load(paths.prepared, sample_rate_hz=params.frontend.sample_rate_hz)
    return from_pretrained(params, settings, paths, data, name, reporter)
