"""Stage `cache_logits [NAME]`: a teacher's logits of the training part, kept for all who learn from it."""

from kd.teachers.codec import Codec
from tasks.data.prepared import PreparedData
from tasks.params.graph import reads_logits
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter, Reporter
from tasks.teachers.logit_cache import LogitCache
from tasks.teachers.posterior_teacher import load_posterior_teacher
from tasks.teachers.pseudo_label_table import has_pseudo_labels
from tasks.teachers.teacher_pass import fill, output_keys, views

LARGEST_RATIO = 2.0
"""Bytes of the store for each byte of 16-bit audio, beyond which the stage says how to lower it."""


def run(params: Params, paths: Paths, name: str = "", reporter: Reporter = NullReporter()) -> dict[str, float]:
    """Writes outputs/NAME/ (of `teacher`, if no name is given), empty where no student reads it, or it
    gives text; returns its size.

    Whatever was computed stays in scratch too, and is found there by its key: after a kill, or when the corpus has
    grown, only what is missing is computed.
    """
    name = name or "teacher"
    data = PreparedData.load(paths.prepared, sample_rate_hz=params.frontend.sample_rate_hz)
    codec = Codec.of(len(data.vocabulary), params.logit_cache.top_k)
    if not reads_logits(params, name) or has_pseudo_labels(paths.model(name)):
        LogitCache.begin(paths.outputs(name), codec)
        return {"outputs": 0.0, "computed": 0.0, "bytes": 0.0, "bytes_per_audio_byte": 0.0}
    teacher, utterances, speeds = (
        load_posterior_teacher(paths, name),
        data.split("train"),
        views(params.student_augment),
    )
    found = LogitCache.to_fill(paths.scratch / "outputs" / name, codec)
    computed = fill(found, teacher, data, utterances, speeds, reporter)
    keys = output_keys(utterances, speeds, teacher.key)
    written = found.copy(keys, paths.outputs(name))
    if len(found) > len(written):  # other teachers, other audio
        written.copy(keys, found.folder)
    ratio = written.num_bytes / (2 * sum(u.num_samples for u in utterances))
    if ratio > LARGEST_RATIO:
        reporter.say(
            f"cached logits take {ratio:.1f} bytes for each byte of audio: a lower logit_cache.top_k takes less"
        )
    return {
        "outputs": float(len(written)),
        "computed": float(computed),
        "bytes": float(written.num_bytes),
        "bytes_per_audio_byte": ratio,
    }
