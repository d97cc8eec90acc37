"""models/NAME/ of a named teacher that gives frames: torchaudio's model, an ONNX file, or an assistant of ours."""

import shutil
from pathlib import Path

from kd.text.decoding import DECODERS
from kd.text.metrics import EDITS, error_rate
from kd.text.unit_mapping import map_units, unmapped
from tasks.checkpoint import Checkpoint
from tasks.data.prepared import PreparedData
from tasks.params.pipeline import Params
from tasks.params.teachers import BundleTeacher, OnnxTeacher, PipelineModelTeacher
from tasks.params.trained import NOTHING
from tasks.pretrained.bundles import bundle_labels, find_bundle, load_bundle
from tasks.runner.atomic_io import fresh_folder
from tasks.runner.paths import Paths
from tasks.runner.reporter import Reporter
from tasks.teachers.bundle_posteriors import WEIGHTS_FILE, write_facts
from tasks.teachers.onnx_ctc.posteriors import take_onnx
from tasks.teachers.posterior_teacher import PosteriorTeacher, first_checkpoint, load_teacher_folder
from tasks.teachers.require_fit import require_fit

BATCH_SECONDS = 60.0


def adopt_posteriors(
    params: Params,
    settings: BundleTeacher | OnnxTeacher | PipelineModelTeacher,
    paths: Paths,
    data: PreparedData,
    name: str,
    reporter: Reporter,
) -> dict[str, float]:
    """Writes all that its frames are computed from to models/NAME/; returns its validation error.

    Raises ValueError, before anything is copied or downloaded, where its units are not ours.
    """
    with fresh_folder(paths.model(name)) as folder:
        if isinstance(settings, BundleTeacher):
            _take_bundle(settings, paths.root, data, folder, reporter)
        elif isinstance(settings, OnnxTeacher):
            take_onnx(settings, paths.root, data.vocabulary.tokens, data.sample_rate_hz, folder, reporter)
        else:
            _take_model(settings, paths.root / settings.path, data, folder)
        return {"valid_error": valid_error(load_teacher_folder(folder), data, params)}


def valid_error(teacher: PosteriorTeacher, data: PreparedData, params: Params) -> float:
    """Error rate of its best paths over the validation part."""
    problem, utterances, edits = params.problem.kind, data.split("valid"), []
    for batch in data.batches(utterances, BATCH_SECONDS):
        decoded = DECODERS[problem](*teacher.posteriors(batch.waveform_BN, batch.lengths_B))
        said = zip(batch.indices, map(data.vocabulary.decode, decoded), strict=True)
        edits += [EDITS[problem](utterances[index].text, text) for index, text in said]
    return error_rate(edits)


def _take_bundle(settings: BundleTeacher, root: Path, data: PreparedData, folder: Path, reporter: Reporter) -> None:
    bundle = find_bundle(settings.bundle)
    labels = bundle_labels(bundle)
    units = map_units(labels, data.vocabulary.tokens)
    if lost := unmapped(labels, units):
        reporter.say(f"{settings.bundle} also writes {' '.join(lost)}, no units here: all of ours share their mass")
    file = folder / WEIGHTS_FILE
    if settings.path != Path(NOTHING):
        load_bundle(settings.bundle, bundle, root / settings.path)  # names what is wrong with the user's own file
        shutil.copyfile(root / settings.path, file)
    else:
        load_bundle(settings.bundle, bundle, file, downloads=True)
    write_facts(folder, settings.bundle, data.vocabulary.tokens, data.sample_rate_hz)


def _take_model(settings: PipelineModelTeacher, source: Path, data: PreparedData, folder: Path) -> None:
    _require_fit(settings, first_checkpoint(source), data)
    shutil.copytree(source, folder, dirs_exist_ok=True)


def _require_fit(settings: PipelineModelTeacher, checkpoint: Checkpoint, data: PreparedData) -> None:
    pairs = (
        ("its units differ", checkpoint.vocabulary.tokens, data.vocabulary.tokens),
        ("its sample rate in Hz differs", checkpoint.frontend.sample_rate_hz, data.sample_rate_hz),
    )
    remedy = "Its frames cannot be matched: learn from its transcripts, with output: text"
    require_fit(f"path {settings.path}", pairs, remedy)
