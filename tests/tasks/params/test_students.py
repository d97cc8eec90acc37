"""Recipes of students that cannot be followed: each kind of mistake gives one line, with the path of its key."""

from given_params import (
    GATES,
    GOOD,
    GRADUAL,
    HALF,
    PATCH,
    REMOVE,
    RNN,
    SLICE,
    Mistakes,
    each_in_one_line,
    keep,
    prune_units,
)
from workspace import ENCODERS, make_params

from kd.config.shrink import GroupLasso
from tasks.params.load import parse_params

MISTAKES: Mistakes = {
    "both amounts": (
        {"students.cut.operators": [{"op": "prune_weights", "sparsity": 0.5, "threshold": 1}]},
        "students.cut.operators.0: give exactly one of sparsity, threshold, pattern; found sparsity, threshold",
    ),
    "no amount": (
        {"students.cut.operators": [{"op": "prune_units", "dims": ["hidden"]}]},
        "students.cut.operators.0: give exactly one of sparsity, threshold, budget; found none",
    ),
    "nothing to learn": (
        {"students.small.objective": {"label_weight": 0}},
        "students.small.objective: label_weight and beta are both 0",
    ),
    "beta without teacher": (
        {"students.small.objective": {"beta": 1}},
        "students.small: objective.beta is 1.0 but teacher is none",
    ),
    "teacher without beta": (
        {"students.small.teacher": "teacher"},
        "students.small: teacher is teacher but objective.beta is 0",
    ),
    "random without model": (
        {"students.small.model": REMOVE},
        "students.small: init: random needs a shape for the new network: give model",
    ),
    "shrinks for all epochs": (
        {"students.small.shrink": {**GATES, "epochs": 2}},
        "students.small.shrink.epochs: 2 of the training's 2 epochs leave none for the smaller model: lower it, or",
    ),
    "shrinks what is not there": (
        {"students.small.shrink": {**GATES, "dims": ["heads"]}},
        "students.small.shrink: rnn has no dimension 'heads': choose from layers, width, stem, hidden",
    ),
    "gates of layers": (
        {"students.small.shrink": {**GATES, "dims": ["layers"]}},
        "students.small.shrink: dims: gates and penalties are of units, and layers are none: shrink them by",
    ),
    "shrinks too few": (
        {"students.small.shrink": {**GATES, "of": "units", "sparsity": 0.02}},
        "students.small.shrink.sparsity: 0.02 of so few units rounds to none, and nothing would be removed: "
        "raise it, or remove this operator",
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
        "students.small.shrink: prune: the steps lead to a sparsity, or of units to a budget: give one",
    ),
    "more steps than epochs": (
        {"students.small.shrink": {**GRADUAL, "steps": 3}},
        "students.small.shrink: steps: 3 do not fit into 2 epochs, one between two steps: use fewer",
    ),
    "steps of layers and units": (
        {"students.small.shrink": {**GRADUAL, "prune": prune_units("layers", "hidden", sparsity=0.5)}},
        "students.small.shrink: prune.dims: units go with their layers: shrink layers alone, or other dims",
    ),
    "steps of layers that the objective looks at": (
        {
            "student_training.epochs": 3,
            "students.small.objective": {"self_distillation": [{"name": "intermediate_ctc"}]},
            "students.small.shrink": {**GRADUAL, "prune": prune_units("layers", sparsity=0.5)},
        },
        "students.small.shrink.prune.dims: layers would go that the objective looks at: shrink other dims",
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
        "students.cut.operators.0.keep.hidden: 5, but there are only 3: lower it, or give a share below 1",
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
        "students.cut.init: 'teachr' is no model of this file; did you mean 'teacher'? there are",
    ),
    "unknown teacher": (
        {"students.cut.teacher": "smal"},
        "students.cut.teacher: 'smal' is no model of this file; did you mean 'small'? there are",
    ),
    "itself": ({"students.cut.init": "cut"}, "students.cut.init: 'cut' is this student itself"),
    "reserved name": (
        {"students.random": GOOD["students"]["small"]},
        "students.random: nothing may be called random",
    ),
    "name of a folder": ({"students.a/b": GOOD["students"]["small"]}, "students.a/b: 'a/b' names folders: use letters"),
    # what a family has
    "kind of an rnn": (
        {"students.cut.operators.0.keep": {"heads": 1}},
        "students.cut.operators.0: rnn has no dimension 'heads': choose from layers, width, stem, hidden",
    ),
    "kind through a chain": (
        {"students.again.operators": [{"op": "prune_units", "dims": ["channels"], "sparsity": 0.5}]},
        "students.again.operators.0: rnn has no dimension 'channels'",
    ),
    "more than there is": (
        {"students.cut.operators.0.keep.hidden": 11},
        "students.cut.operators.0.keep.hidden: 11, but there are only 7: lower it, or give a share below 1",
    ),
    "more than the smallest layer has": (
        {"students.cut.operators.0.keep.hidden": 8},
        "students.cut.operators.0.keep.hidden: 8, but there are only 7: lower it, or give a share below 1",
    ),
    "more than an earlier operator left": (
        {"students.cut.operators": [keep(hidden=3), keep(hidden=4)]},
        "students.cut.operators.1.keep.hidden: 4, but there are only 3: lower it, or give a share below 1",
    ),
    "more than another student has": (
        {"students.again.operators": [keep(width=4, hidden=4)]},
        "students.again.operators.0.keep.hidden: 4, but there are only 3: lower it, or give a share below 1",
    ),
    "more layers than are left": (
        {"students.cut.operators": [keep(layers=1), keep(layers=2)]},
        "students.cut.operators.1.keep.layers: 2, but there are only 1: lower it, or give a share below 1",
    ),
    "more than a share left": (
        {"students.cut.operators": [keep(width=0.25), keep(width=4)]},
        "students.cut.operators.1.keep.width: 4, but there are only 3: lower it, or give a share below 1",
    ),
    "more than pruning by layer left": (
        {"students.cut.operators": [prune_units("hidden", sparsity=0.5, scope="layer"), keep(hidden=4)]},
        "students.cut.operators.1.keep.hidden: 4, but there are only 3: lower it, or give a share below 1",
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
        "students.cut.operators.1.layers: 2, but the model has 1 layers, numbered 0 to 0: name fewer, or lower numbers",
    ),
    "a new layer that is not there": (
        {"students.cut.operators": [{"op": "renew", "layers": [0, 2]}]},
        "students.cut.operators.0.layers: (0, 2), but the model has 2 layers, numbered 0 to 1: name fewer, or lower "
        "numbers",
    ),
    "nothing transferred": (
        {"students.cut.operators": [{"op": "renew", "layers": 2, "stem": True, "head": True}]},
        "students.cut.operators.0: nothing of the source would be left: use init: random",
    ),
    "nothing new": (
        {"students.cut.operators": [{"op": "renew"}]},
        "students.cut.operators.0: renew nothing? Give layers, such as last, or stem: true, or head: true",
    ),
    "more than can go": (
        {"students.cut.operators": [{"op": "prune_units", "dims": ["hidden"], "sparsity": 0.99}]},
        "students.cut.operators.0.sparsity: 17 of 17 units cannot go: one of each of 2 dimensions stays. Lower it",
    ),
    "a slice after a pattern": (
        {"students.cut.operators": [{"op": "prune_weights", "pattern": [2, 4]}, SLICE]},
        "students.cut.operators.1: it would break the runs of the N:M pattern before it: put the pattern last",
    ),
    "weights that are zero already": (
        {
            "students.cut.operators": [{"op": "prune_weights", "sparsity": 0.5}],
            "students.again.operators": [{"op": "prune_weights", "sparsity": 0.4}],
        },
        "students.again.operators.0.sparsity: 0.5 of the weights are zero already, and 0.4 zeroes no more: "
        "raise it above 0.5, or remove this operator",
    ),
}

test_a_mistake_is_one_line_with_its_path = each_in_one_line(MISTAKES)


def test_group_lasso_is_gentler_with_keywords_unless_its_weight_is_given() -> None:
    """Their loss is smaller. Written down and read again, nothing changes."""
    shrink = {"how": "group_lasso", "dims": ["hidden"], "sparsity": 0.5, "epochs": 1}
    student = {"init": "random", "model": ENCODERS["baseline"], "teacher": "none"}
    for problem, given, expected in (
        ("keyword", {}, 1e-4),
        ("keyword", {"weight": 1e-3}, 1e-3),
        ("transcription", {}, 1e-3),
        ("transcription", {"weight": 1e-2}, 1e-2),
    ):
        params = make_params(problem, students={"a": {**student, "shrink": {**shrink, **given}}})
        found = params.students["a"].shrink
        assert isinstance(found, GroupLasso)
        assert found.weight == expected
        assert parse_params(params.model_dump(mode="json")) == params
