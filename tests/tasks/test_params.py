"""params.yaml: each kind of mistake gives one line, with the path of its key."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.params import Params, load_params, parse_params
from tasks.params_errors import ParamsError

REPO = Path(__file__).parents[2]
RNN = {"family": "rnn", "stem": 8, "width": 12, "layers": 2, "hidden": [10, 7]}
CONFORMER = {
    "family": "conformer", "stem": 8, "width": 12, "layers": 1, "heads": 2, "feed_forward_1": 9, "feed_forward_2": 8,
    "channels": 5,
}  # fmt: skip
PATCH = {"family": "patch_cnn"}
FSDD = {"kind": "fsdd", "root": "c"}
TRAINING = {"epochs": 2, "batch_seconds": 10}
SLICE = {"op": "slice", "keep": {"hidden": 3}}


def keep(**amounts: float) -> dict[str, Any]:
    return {"op": "slice", "keep": amounts}


def prune_units(*kinds: str, **amount: Any) -> dict[str, Any]:
    return {"op": "prune_units", "kinds": list(kinds), **amount}


GATES = {"how": "gates", "kinds": ["hidden"], "sparsity": 0.5, "epochs": 1}
HALF = prune_units("hidden", sparsity=0.5)
GRADUAL = {"how": "gradual", "epochs": 2, "steps": 2, "prune": HALF}
GOOD: dict[str, Any] = {
    "problem": {"kind": "transcription", "units": {"kind": "characters"}},
    "corpus": {"kind": "manifest", "root": "corpora", "file": "m.csv"},
    "preprocess": {},
    "frontend": {},
    "teacher": {"source": "train", "model": RNN, "training": TRAINING},
    "student_training": TRAINING,
    "student_augment": {},
    "students": {
        "small": {"init": "random", "model": RNN, "teacher": "none"},
        "cut": {"init": "teacher", "operators": [SLICE], "teacher": "teacher", "objective": {"beta": 1.0}},
        "again": {
            "init": "cut",
            "operators": [{"op": "slice", "keep": {"hidden": 2}}],
            "teacher": "small",
            "objective": {"beta": 1.0},
        },
    },
    "export": {},
    "evaluation": {},
}
REMOVE = object()


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """GOOD with values at dotted paths replaced, or removed."""
    data: dict[str, Any] = json.loads(json.dumps(GOOD))
    for path, value in changes.items():
        *parents, key = path.split(".")
        place: Any = data
        for parent in parents:
            place = place[int(parent) if parent.isdigit() else parent]
        if value is REMOVE:
            del place[key]
        else:
            place[int(key) if key.isdigit() else key] = value
    return data


def lines(**changes: Any) -> list[str]:
    with pytest.raises(ParamsError) as caught:
        parse_params(changed(changes))
    assert str(caught.value).splitlines() == caught.value.lines
    return caught.value.lines


def test_what_is_right_is_taken() -> None:
    params = parse_params(GOOD)
    assert params.training_of("cut") == params.student_training
    assert parse_params(changed({"students.cut.training": {**TRAINING, "epochs": 9}})).training_of("cut").epochs == 9
    assert Params.model_validate_json(params.model_dump_json()) == params


def test_what_is_not_used_is_not_written() -> None:
    """So that a record holds no setting that had no effect, and reads back."""
    cut = {"choose": "random", **keep(hidden=3)}
    params = parse_params(changed({"students.cut.operators": [cut, keep(width=5)]}))
    data = params.model_dump(mode="json")
    drawn, chosen = data["students"]["cut"]["operators"]
    assert drawn.keys() == {"op", "keep", "choose", "seed"}
    assert chosen.keys() == {"op", "keep", "choose", "importance"}
    assert data["students"]["small"]["objective"] == {"labels": 1.0, "beta": 0.0}
    assert data["students"]["cut"]["objective"]["match"]["name"] == "soft_targets"
    assert parse_params(data) == params


def test_the_studies_own_params_are_right() -> None:
    files = sorted((REPO / "studies").glob("*.yaml"))
    assert files
    for file in files:
        parse_params(yaml.safe_load(file.read_text(encoding="utf-8"))["params"])


def test_the_projects_own_params_are_right() -> None:
    assert load_params(REPO / "params.yaml").students.keys() >= {"baseline", "distilled", "sliced", "pruned"}


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    # typos: the nearest key
    "top-level": ({"studnets": {}}, "studnets: unknown key; did you mean 'students'?"),
    "nested": ({"teacher.training.epocs": 3}, "teacher.training.epocs: unknown key; did you mean 'epochs'?"),
    "in a student": (
        {"students.cut.objective.beat": 1},
        "students.cut.objective.beat: unknown key; did you mean 'beta'?",
    ),
    "in an operator": (
        {"students.cut.operators.0.keeps": 1},
        "students.cut.operators.0.keeps: unknown key; did you mean 'keep'?",
    ),
    "in a union": (
        {"student_training.optimiser": {"name": "sgd", "rate": 0.1, "momentun": 0.5}},
        "student_training.optimiser.momentun: unknown key; did you mean 'momentum'?",
    ),
    "another alternative's knob": (
        {"student_training.optimiser": {"name": "adam", "rate": 0.1, "momentum": 0.5}},
        "student_training.optimiser.momentum: unknown key; valid keys: name, rate, weight_decay",
    ),
    "nothing near": ({"frontend.colour": 1}, "frontend.colour: unknown key; valid keys: "),
    "tag": (
        {"corpus.kind": "manifset"},
        "corpus.kind: 'manifset' is unknown; did you mean 'manifest'? there are synthetic,",
    ),
    "tag of a model": ({"teacher.model.family": "rn"}, "teacher.model.family: 'rn' is unknown; did you mean 'rnn'?"),
    "tag of an operator": (
        {"students.cut.operators.0.op": "cut"},
        "students.cut.operators.0.op: 'cut' is unknown; there are slice,",
    ),
    "no tag": ({"students.cut.operators.0.op": REMOVE}, "students.cut.operators.0.op: missing: this key is required"),
    "kind of dimension": (
        {"students.cut.operators.0.keep": {"heds": 1}},
        "students.cut.operators.0.keep.heds: input should be 'layers',",
    ),
    # wrong or missing values
    "missing": ({"teacher.training.epochs": REMOVE}, "teacher.training.epochs: missing: this key is required"),
    "missing section": ({"frontend": REMOVE}, "frontend: missing: this key is required"),
    "type": ({"student_training.epochs": "many"}, "student_training.epochs: input should be a valid integer, "),
    "a list": ({"students.cut.operators": SLICE}, "students.cut.operators: input should be a list, found {"),
    "a mapping": ({"students.cut": 3}, "students.cut: input should be a mapping, found 3"),
    "no student": ({"students": {}}, "students: mapping should have at least 1 item"),
    "range": ({"teacher.model.dropout": 1.5}, "teacher.model.dropout: input should be less than 1, found 1.5"),
    "choice": (
        {"student_training.device": "gpu"},
        "student_training.device: input should be 'auto', 'cpu' or 'cuda', found 'gpu'",
    ),
    "share of 1": (
        {"students.cut.operators.0.keep.hidden": 1.0},
        "students.cut.operators.0.keep.hidden: 1.0 is neither a count",
    ),
    "widths": (
        {"teacher.model.hidden": [1, 2, 3]},
        "teacher.model: hidden lists 3 widths for 2 layers: give one, or one per layer",
    ),
    "speed": (
        {"student_augment.speeds": [1.0, 0.0]},
        "student_augment.speeds.1: input should be greater than or equal to 0.5",
    ),
    "order": (
        {"student_augment.noise_snr_db": [9, 3]},
        "student_augment.noise_snr_db: the range [9.0, 3.0] ends before it begins",
    ),
    "a boolean for a number": (
        {"student_training.epochs": True},
        "student_training.epochs: a number is expected, not true or false, found True",
    ),
    "a boolean in a list": (
        {"teacher.model.hidden": [3, True]},
        "teacher.model.hidden: a number is expected, not true or false, found [3, True]",
    ),
    "a boolean in a mapping": (
        {"students.cut.operators": [keep(hidden=True)]},
        "students.cut.operators.0.keep: a number is expected, not true or false, found {'hidden': True}",
    ),
    "a boolean for a choice of numbers": (
        {"teacher.model.subsampling": True},
        "teacher.model.subsampling: a number is expected, not true or false, found True",
    ),
    "infinite": (
        {"preprocess.max_seconds": float("inf")},
        "preprocess.max_seconds: input should be a finite number, found inf",
    ),
    "no number": ({"student_augment.filter_db": float("nan")}, "student_augment.filter_db: input should be a finite"),
    "infinite in a list": (
        {"student_augment.noise_snr_db": [0, float("inf")]},
        "student_augment.noise_snr_db.1: input should be a finite number, found inf",
    ),
    # settings that would be ignored
    "single weights by norms": (
        {"students.cut.operators.0": {"op": "prune_weights", "sparsity": 0.5, "importance": {"by": "norm"}}},
        "students.cut.operators.0: importance: a norm scales whole units, not single weights: use prune_units",
    ),
    "a kind without a norm": (
        {"students.cut.operators.0": {**SLICE, "importance": {"by": "norm"}}},
        "students.cut.operators.0.importance: no norm scales rnn's hidden: choose another importance for them",
    ),
    "importance of the first": (
        {"students.cut.operators.0": {**SLICE, "choose": "first", "importance": {"by": "l2"}}},
        "students.cut.operators.0: importance is for choose: importance, but choose is first: remove importance",
    ),
    "seed of importance": (
        {"students.cut.operators.0.seed": 1},
        "students.cut.operators.0: seed is for choose: random, but choose is importance: remove seed",
    ),
    "match without teacher": (
        {"students.small.objective": {"labels": 1, "match": {"name": "soft_targets"}}},
        "students.small.objective: match is how a student learns from a teacher, but beta is 0",
    ),
    # several losses, and schedules
    "one of several": (
        {"students.cut.objective.match": [{"name": "dist"}, {"name": "soft_targets", "temperature": 0}]},
        "students.cut.objective.match.1.temperature: input should be greater than 0, found 0",
    ),
    "loss of several": (
        {"students.cut.objective.match": [{"name": "soft_target"}]},
        "students.cut.objective.match.0.name: 'soft_target' is unknown; did you mean 'soft_targets'? there are ",
    ),
    "no loss": ({"students.cut.objective.match": []}, "students.cut.objective: match is an empty list: name a loss"),
    "schedule": (
        {"students.cut.objective.beta": {"from": 0, "to": -1, "epochs": 2}},
        "students.cut.objective.beta.to: input should be greater than or equal to 0, found -1",
    ),
    "schedule of a temperature": (
        {"students.cut.objective.match": {"name": "dist", "temperature": {"from": 0, "to": 1, "epochs": 2}}},
        "students.cut.objective.match.temperature.from: input should be greater than 0, found 0",
    ),
    "key of a schedule": (
        {"students.cut.objective.beta": {"from": 0, "to": 1, "epochs": 2, "form": 3}},
        "students.cut.objective.beta.form: unknown key; did you mean 'from'?",
    ),
    "a boolean for a schedule": (
        {"students.cut.objective.beta": True},
        "students.cut.objective.beta: a number is expected, not true or false, found True",
    ),
    "a word for a schedule": (
        {"students.cut.objective.beta": "much"},
        "students.cut.objective.beta: input should be a valid number, ",
    ),
    # self-distillation
    "a teacher of the teacher": (
        {"teacher.objective": {"beta": 1}},
        "teacher: objective.beta is for students: a teacher that is trained here has no teacher",
    ),
    "one view": (
        {
            "students.small.objective": {"itself": [{"name": "cr_ctc"}]},
            "student_augment": {"time_masks": 0, "frequency_masks": 0},
        },
        "students.small.objective.itself: cr_ctc compares two masked views, but student_augment masks nothing",
    ),
    "no inner layer": (
        {"teacher.objective": {"itself": [{"name": "intermediate_ctc", "layers": [2]}]}},
        "teacher.objective.itself: intermediate_ctc names layer 2, but the inner ones of 2 are 1 to 1",
    ),
    # corpora
    "validation speaker alone": (
        {"corpus": {**FSDD, "valid_speaker": "theo"}},
        "corpus: valid_speaker needs test_speaker: the official split is not by speaker",
    ),
    "one speaker for two parts": (
        {"corpus": {**FSDD, "valid_speaker": "theo", "test_speaker": "theo"}},
        "corpus: valid_speaker and test_speaker are both 'theo': name two",
    ),
    "subsets of others": (
        {"corpus": {"kind": "torchaudio", "root": "c", "dataset": "YESNO", "subsets": ["dev-clean"]}},
        "corpus: subsets belongs to LIBRISPEECH; YESNO has none",
    ),
    "misspelt subset": (
        {"corpus": {"kind": "torchaudio", "root": "c", "dataset": "LIBRISPEECH", "subsets": ["dev-claen"]}},
        "corpus.subsets.0: 'dev-claen' is no subset; did you mean 'dev-clean'? there are train-clean-100, ",
    ),
    "strings as keywords": (
        {"problem": {"kind": "keyword"}, "corpus": {**FSDD, "connected": {}}},
        "corpus.connected: strings of digits are no keywords",
    ),
    # teachers
    "a trained teacher's folder": ({"teacher.path": "old"}, "teacher.path: input should be 'models/none', found 'old'"),
    "no teacher's folder": (
        {"teacher": {"source": "checkpoint", "path": "models/none"}},
        "teacher.path: models/none is no checkpoint: name the teacher's folder, or set source: train",
    ),
    # impossible combinations
    "rounding in 16 bits": (
        {"student_training": {**TRAINING, "precision": "bf16", "quantised": "int8"}},
        "student_training: quantised int8 rounds 32-bit values, found precision bf16: use no",
    ),
    "no float32": (
        {"export.forms": ["float16", "int8_static"]},
        "export: forms lacks float32: the others are made from it and held against it",
    ),
    "a form twice": ({"export.forms": ["float32", "float32"]}, "export: forms names one twice: float32, float32"),
    "no such form": ({"export.forms": ["float32", "int8"]}, "export.forms.1: input should be 'float32', 'float16'"),
    "fp16 on a CPU": (
        {"student_training": {**TRAINING, "device": "cpu", "precision": "fp16"}},
        "student_training: precision fp16 needs a GPU, but device is cpu",
    ),
    "frequency": (
        {"frontend.high_freq_hz": 9000},
        "frontend: mel bins from 20 to 9000 Hz do not lie in order below 8000 Hz",
    ),
    "frequency order": ({"frontend.low_freq_hz": 7700}, "frontend: mel bins from 7700 to 7600 Hz do not lie in order"),
    "mel bins": (
        {"frontend": {"sample_rate_hz": 8000, "num_mels": 128}},
        "frontend: 6 of 128 mel bins hold no bin of the 256-point",
    ),
    "shift": ({"frontend.frame_shift_ms": 30}, "frontend: frame_shift_ms 30.0 is longer than frame_length_ms 25.0"),
    "both amounts": (
        {"students.cut.operators": [{"op": "prune_weights", "sparsity": 0.5, "threshold": 1}]},
        "students.cut.operators.0: give either sparsity or threshold, and not both",
    ),
    "no amount": (
        {"students.cut.operators": [{"op": "prune_units", "kinds": ["hidden"]}]},
        "students.cut.operators.0: give either sparsity or threshold, and not both",
    ),
    "nothing to learn": (
        {"students.small.objective": {"labels": 0}},
        "students.small.objective: labels and beta are both 0",
    ),
    "beta without teacher": (
        {"students.small.objective": {"beta": 1}},
        "students.small: objective.beta is 1.0 but teacher is none",
    ),
    "teacher without beta": (
        {"students.small.teacher": "teacher"},
        "students.small: teacher is teacher but objective.beta is 0",
    ),
    "random without model": ({"students.small.model": REMOVE}, "students.small: init: random needs a model"),
    "shrinks for all epochs": (
        {"students.small.shrink": {**GATES, "epochs": 2}},
        "students.small.shrink.epochs: 2 of the training's 2 epochs leave none for the smaller model: lower it, or",
    ),
    "shrinks what is not there": (
        {"students.small.shrink": {**GATES, "kinds": ["heads"]}},
        "students.small.shrink: rnn has no dimension 'heads'; it has layers, width, stem, hidden",
    ),
    "gates of layers": (
        {"students.small.shrink": {**GATES, "kinds": ["layers"]}},
        "students.small.shrink: kinds: gates and penalties are of units, and layers are none: shrink them by",
    ),
    "shrinks too few": (
        {"students.small.shrink": {**GATES, "of": "units", "sparsity": 0.02}},
        "students.small.shrink.sparsity: 0.02 of so few units rounds to none: nothing would be removed",
    ),
    "shrinks too many": (
        {"students.small.shrink": {**GATES, "of": "units", "sparsity": 0.99}},
        "students.small.shrink.sparsity: 17 of 17 units cannot go: one of each of 2 dimensions stays. Lower it",
    ),
    "gates in half precision": (
        {"students.small.shrink": GATES, "student_training.precision": "fp16"},
        "students.small.shrink: phases of training do not share the scale of precision fp16: use precision bf16",
    ),
    "steps to a threshold": (
        {"students.small.shrink": {**GRADUAL, "prune": prune_units("hidden", threshold=0.1)}},
        "students.small.shrink: prune: the steps lead to a sparsity: give one, and no threshold",
    ),
    "more steps than epochs": (
        {"students.small.shrink": {**GRADUAL, "steps": 3}},
        "students.small.shrink: steps: 3 do not fit into 2 epochs: an epoch lies between two",
    ),
    "steps of layers and units": (
        {"students.small.shrink": {**GRADUAL, "prune": prune_units("layers", "hidden", sparsity=0.5)}},
        "students.small.shrink: prune.kinds: units go with their layers: shrink layers alone, or other kinds",
    ),
    "steps of layers that the objective looks at": (
        {
            "student_training.epochs": 3,
            "students.small.objective": {"itself": [{"name": "intermediate_ctc"}]},
            "students.small.shrink": {**GRADUAL, "prune": prune_units("layers", sparsity=0.5)},
        },
        "students.small.shrink.prune.kinds: layers would go that the objective looks at: shrink other kinds",
    ),
    "steps by norm without one": (
        {
            "student_training.epochs": 3,
            "students.small.shrink": {**GRADUAL, "prune": {**HALF, "importance": {"by": "norm"}}},
        },
        "students.small.shrink.prune.importance: no norm scales rnn's hidden: choose another importance for them",
    ),
    "a slice of what shrank": (
        {
            "student_training.epochs": 3,
            "students.small.shrink": {**GRADUAL, "prune": prune_units("hidden", sparsity=0.5, scope="layer")},
            "students.cut": {"init": "small", "operators": [keep(hidden=5)], "teacher": "none"},
            "students.again": {"init": "small", "teacher": "none"},
        },
        "students.cut.operators.0.keep.hidden: 5 of at most 3",
    ),
    "random with operators": ({"students.small.operators": [SLICE]}, "students.small: operators act on given weights"),
    "model without random": ({"students.cut.model": RNN}, "students.cut: the shape follows from init: teacher"),
    "patch transcribes": (
        {"teacher.model": PATCH, "students.cut.operators": []},
        "teacher.model: patch_cnn sees one fixed patch",
    ),
    "crop": ({"preprocess.too_long": "crop"}, "preprocess.too_long: crop would part transcripts from their audio"),
    "limits": ({"preprocess.min_seconds": 30}, "preprocess: min_seconds 30.0 is not below max_seconds 20.0"),
    "capitals": ({"problem.units.alphabet": "ABC"}, "problem.units.alphabet: holds capitals"),
    "units of keywords": ({"problem.kind": "keyword"}, "problem.units: unknown key; valid keys: kind"),
    # references
    "unknown init": (
        {"students.cut.init": "teachr"},
        "students.cut.init: 'teachr' is no model of this file (did you mean 'teacher'?)",
    ),
    "unknown teacher": (
        {"students.cut.teacher": "smal"},
        "students.cut.teacher: 'smal' is no model of this file (did you mean 'small'?)",
    ),
    "itself": ({"students.cut.init": "cut"}, "students.cut.init: 'cut' is this student itself"),
    "reserved name": (
        {"students.random": GOOD["students"]["small"]},
        "students.random: nothing may be called random",
    ),
    "name of a folder": ({"students.a/b": GOOD["students"]["small"]}, "students.a/b: 'a/b' names folders and stages"),
    # what a family has
    "kind of an rnn": (
        {"students.cut.operators.0.keep": {"heads": 1}},
        "students.cut.operators.0: rnn has no dimension 'heads'; it has layers, width, stem, hidden",
    ),
    "kind through a chain": (
        {"students.again.operators": [{"op": "prune_units", "kinds": ["channels"], "sparsity": 0.5}]},
        "students.again.operators.0: rnn has no dimension 'channels'",
    ),
    "more than there is": (
        {"students.cut.operators.0.keep.hidden": 11},
        "students.cut.operators.0.keep.hidden: 11 of at most 7",
    ),
    "more than the smallest layer has": (
        {"students.cut.operators.0.keep.hidden": 8},
        "students.cut.operators.0.keep.hidden: 8 of at most 7",
    ),
    "more than an earlier operator left": (
        {"students.cut.operators": [keep(hidden=3), keep(hidden=4)]},
        "students.cut.operators.1.keep.hidden: 4 of at most 3",
    ),
    "more than another student has": (
        {"students.again.operators": [keep(width=4, hidden=4)]},
        "students.again.operators.0.keep.hidden: 4 of at most 3",
    ),
    "more layers than are left": (
        {"students.cut.operators": [keep(layers=1), keep(layers=2)]},
        "students.cut.operators.1.keep.layers: 2 of at most 1",
    ),
    "more than a share left": (
        {"students.cut.operators": [keep(width=0.25), keep(width=4)]},
        "students.cut.operators.1.keep.width: 4 of at most 3",
    ),
    "more than pruning by layer left": (
        {"students.cut.operators": [prune_units("hidden", sparsity=0.5, scope="layer"), keep(hidden=4)]},
        "students.cut.operators.1.keep.hidden: 4 of at most 3",
    ),
    # operators that would do nothing
    "a slice of all": (
        {"students.cut.operators": [keep(layers=2, width=12)]},
        "students.cut.operators.0.keep: layers, width would be kept whole",
    ),
    "a share that rounds to all": (
        {"students.cut.operators": [keep(layers=0.9)]},
        "students.cut.operators.0.keep: layers would be kept whole",
    ),
    "a slice of all that is left": (
        {"students.again.operators": [keep(hidden=3)]},
        "students.again.operators.0.keep: hidden would be kept whole",
    ),
    "too sparse to remove a unit": (
        {"students.cut.operators": [prune_units("hidden", sparsity=0.02)]},
        "students.cut.operators.0.sparsity: 0.02 of so few units rounds to none",
    ),
    "too sparse to remove a unit of any layer": (
        {"students.cut.operators": [prune_units("hidden", sparsity=0.04, scope="layer")]},
        "students.cut.operators.0.sparsity: 0.04 of so few units rounds to none",
    ),
    "more new layers than are left": (
        {"students.cut.operators": [keep(layers=1), {"op": "renew", "layers": 2}]},
        "students.cut.operators.1.layers: 2 of at most 1 layers",
    ),
    "a new layer that is not there": (
        {"students.cut.operators": [{"op": "renew", "layers": [0, 2]}]},
        "students.cut.operators.0.layers: (0, 2) of at most 2 layers",
    ),
    "nothing handed over": (
        {"students.cut.operators": [{"op": "renew", "layers": 2, "stem": True, "head": True}]},
        "students.cut.operators.0: nothing of the source would be left: use init: random",
    ),
    "nothing new": (
        {"students.cut.operators": [{"op": "renew"}]},
        "students.cut.operators.0: renew nothing? Give layers, such as last, or stem: true, or head: true",
    ),
    "weights that are zero already": (
        {
            "students.cut.operators": [{"op": "prune_weights", "sparsity": 0.5}],
            "students.again.operators": [{"op": "prune_weights", "sparsity": 0.4}],
        },
        "students.again.operators.0.sparsity: 0.5 of the weights are zero already: 0.4 zeroes none",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_with_its_path(mistake: str) -> None:
    changes, expected = MISTAKES[mistake]
    (line,) = lines(**changes)
    assert line.startswith(expected)


def test_kinds_of_every_family() -> None:
    """A conformer has no `hidden`; its feed-forwards are counted by the smaller one."""
    model = {"teacher.model": CONFORMER, "students.again": REMOVE}
    (line,) = lines(**model)
    assert line.startswith("students.cut.operators.0: conformer has no dimension 'hidden'; it has layers, width,")
    (line,) = lines(**model, **{"students.cut.operators.0.keep": {"feed_forward": 9}})
    assert line == "students.cut.operators.0.keep.feed_forward: 9 of at most 8"
    parse_params(changed({**model, "students.cut.operators.0.keep": {"feed_forward": 8, "heads": 1, "channels": 0.5}}))


def test_sizes_that_weights_decide_wait_for_them() -> None:
    """After pruning over all layers, or with layers chosen by importance, a size is known only within bounds."""
    bounded = prune_units("hidden", sparsity=0.5)
    parse_params(changed({"students.cut.operators": [bounded, keep(hidden=7)], "students.again": REMOVE}))
    one_layer = {"students.cut.operators": [keep(layers=1), keep(hidden=9)], "students.again": REMOVE}
    parse_params(changed(one_layer))
    (line,) = lines(**{**one_layer, "students.cut.operators": [keep(layers=1), keep(hidden=11)]})
    assert line == "students.cut.operators.1.keep.hidden: 11 of at most 10"
    parse_params(
        changed(
            {"students.cut.operators": [prune_units("hidden", threshold=9.0), keep(hidden=5)], "students.again": REMOVE}
        )
    )


def test_transcripts_are_aligned_at_the_longest_step() -> None:
    assert lines(**{"frontend.frame_shift_ms": 20}) == [
        f"preprocess.frame_ms: {key} has a frame every 80 ms, so this must be 80 or more, found 40"
        for key in ("students.small.model", "teacher.model")
    ]
    parse_params(changed({"frontend.frame_shift_ms": 20, "preprocess.frame_ms": 80}))


def test_students_that_lead_back_to_themselves() -> None:
    found = lines(**{"students.cut.init": "again", "students.cut.operators": []})
    assert found == [
        "students.cut: its init and teacher lead back to itself (cut -> again -> cut)",
        "students.again: its init and teacher lead back to itself (again -> cut -> again)",
    ]
    three = {"students.small": {"init": "cut", "teacher": "none"}, "students.cut.init": "again"}
    found = lines(**three)
    assert "students.small: its init and teacher lead back to itself (small -> cut -> again -> small)" in found


def test_every_mistake_is_named_at_once() -> None:
    found = lines(**{"techer": 1, "frontend.num_mels": 3, "students.cut.init": 5})
    assert [line.split(":")[0] for line in found] == ["frontend.num_mels", "students.cut.init", "techer"]
    found = lines(**{"students.cut.teacher": "nobody", "students.cut.operators.0.keep": {"heads": 1}})
    assert [line.split(":")[0] for line in found] == ["students.cut.teacher", "students.cut.operators.0"]


def test_what_only_a_checkpoint_tells_waits_for_it() -> None:
    checkpoint = {"teacher": {"source": "checkpoint", "path": "old"}, "students.cut.operators.0.keep": {"heads": 1}}
    params = parse_params(changed(checkpoint))
    assert params.teacher.source == "checkpoint"
    assert params.students["cut"].operators[0].keep == {"heads": 1}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("objective", "problem"),
    [
        ({"beta": 1, "match": [{"name": "dist"}, {"name": "hypotheses"}]}, "match: hypotheses looks for CTC's blank"),
        ({"beta": 1, "itself": [{"name": "cr_ctc"}]}, "itself: cr_ctc is for CTC, which a keyword problem has not"),
    ],
)
def test_what_needs_ctc_is_not_for_keywords(objective: dict[str, Any], problem: str) -> None:
    (line,) = lines(**{"problem": {"kind": "keyword"}, "students.cut.objective": objective})
    assert line.startswith(f"students.cut.objective.{problem}")


def test_keyword_students_may_differ_in_frames() -> None:
    other = {"init": "random", "model": {**RNN, "subsampling": 1}, "teacher": "teacher", "objective": {"beta": 1}}
    params = parse_params(changed({"problem": {"kind": "keyword"}, "students.other": other}))
    assert params.students["other"].model.subsampling == 1  # type: ignore[union-attr]
    assert params.teacher.model.subsampling == 4  # type: ignore[union-attr]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml: no such file"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("name: [")
    with pytest.raises(ParamsError, match="is not valid YAML") as caught:
        load_params(tmp_path / "params.yaml")
    assert len(caught.value.lines) == 1
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(ParamsError):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(GOOD))
    with pytest.raises(ParamsError, match=r"teacher\.path: missing: dvc\.yaml depends on it; write models/none"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(changed({"teacher.path": "models/none"})))
    with pytest.raises(ParamsError, match=r"outputs: missing: dvc\.yaml depends on it; write outputs: \{\}"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(changed({"teacher.path": "models/none", "outputs": {}})))
    assert load_params(tmp_path / "params.yaml") == parse_params(GOOD)


def test_parameters_are_checked_without_torch() -> None:
    import subprocess
    import sys

    code = "import sys, tasks.params; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=REPO, check=True)
