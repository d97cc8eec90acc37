"""A teacher that shows its inner states: a model that runs on every batch anew (docs/adr/0012).

Legend: B utterances, N samples, T frames, V units.
"""

import torch

from kd.config.losses import ObjectiveSettings
from kd.config.models import EncoderSettings
from kd.config.states import layers_read, state_widths
from kd.training.states import states_of, tapped
from tasks.teachers.posterior_teacher import CheckpointPosteriorTeacher, PosteriorTeacher
from tasks.training.batch_teacher import Posteriors, TeacherBatch


class LiveStates:
    """Log-probabilities and the states that an objective reads, in one pass without gradient."""

    def __init__(self, teacher: PosteriorTeacher, objective: ObjectiveSettings, student: EncoderSettings) -> None:
        """student: whose layers are to meet the teacher's.

        Raises ValueError for a teacher that is no single model, and for layers that are not there.
        """
        if not isinstance(teacher, CheckpointPosteriorTeacher):
            raise ValueError(
                "the objective compares inner states, which only a model of this pipeline shows: "
                "name one as the teacher (a member in place of an ensemble), or match its logits"
            )
        self.teacher, self.encoder = teacher, teacher.model.settings.encoder
        widths = state_widths(student), state_widths(self.encoder)
        _, self.layers = layers_read(objective, *map(len, widths))

    @torch.no_grad()
    def of(self, teacher_batch: TeacherBatch) -> Posteriors:
        model = self.teacher.model
        features_BTF, frames_B = self.teacher.features(*teacher_batch.audio)
        with tapped(model, self.layers) as caught:
            logits_BTV, lengths_B = model(features_BTF, frames_B)
        return Posteriors(logits_BTV.float().log_softmax(-1), lengths_B, states_of(model, caught, frames_B))
