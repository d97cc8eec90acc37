"""Keys and values of params.yaml: each kind of mistake gives one line, with the path of its key."""

from given_params import FSDD, REMOVE, SLICE, TRAINING, Mistakes, each_in_one_line, keep

MISTAKES: Mistakes = {
    # typos: the nearest key
    "top-level": ({"studnets": {}}, "studnets: unknown key; did you mean 'students'?"),
    "nested": ({"teacher.training.epocs": 3}, "teacher.training.epocs: unknown key; did you mean 'epochs'?"),
    "a required one": (
        {"teacher.training.batch_second": 9, "teacher.training.batch_seconds": REMOVE},
        "teacher.training.batch_second: unknown key; did you mean 'batch_seconds'?",
    ),
    "in a student": (
        {"students.cut.objective.beat": 1},
        "students.cut.objective.beat: unknown key; did you mean 'beta'?",
    ),
    "in an operator": (
        {"students.cut.operators.0.keeps": 1},
        "students.cut.operators.0.keeps: unknown key; did you mean 'keep'?",
    ),
    "in a union": (
        {"student_training.optimiser": {"name": "sgd", "lr": 0.1, "momentun": 0.5}},
        "student_training.optimiser.momentun: unknown key; did you mean 'momentum'?",
    ),
    "another alternative's knob": (
        {"student_training.optimiser": {"name": "adam", "lr": 0.1, "momentum": 0.5}},
        "student_training.optimiser.momentum: unknown key; valid keys: lr, name, weight_decay",
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
    "missing": (
        {"teacher.training.batch_seconds": REMOVE},
        "teacher.training.batch_seconds: missing: this key is required",
    ),
    "two lengths": (
        {"student_training.steps": 100},
        "student_training: found both epochs: 2 and steps: 100: give one of them, or neither",
    ),
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
        "students.cut.operators.0: importance: norm is of whole units, not single weights: use prune_units",
    ),
    "layers without a median": (
        {"students.cut.operators.0": {**SLICE, "keep": {"layers": 1}, "importance": {"by": "geometric_median"}}},
        "students.cut.operators.0: importance: geometric_median measures distances between units of one shape",
    ),
    "a pattern that keeps all": (
        {"students.cut.operators.0": {"op": "prune_weights", "pattern": [4, 4]}},
        "students.cut.operators.0: pattern: [4, 4] is not N, M with 1 <= N < M, such as [2, 4]",
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
        {"students.small.objective": {"label_weight": 1, "distill": {"name": "soft_targets"}}},
        "students.small.objective: distill is how a student learns from a teacher, but beta is 0",
    ),
    # several losses, and schedules
    "one of several": (
        {"students.cut.objective.distill": [{"name": "dist"}, {"name": "soft_targets", "temperature": 0}]},
        "students.cut.objective.distill.1.temperature: input should be greater than 0, found 0",
    ),
    "loss of several": (
        {"students.cut.objective.distill": [{"name": "soft_target"}]},
        "students.cut.objective.distill.0.name: 'soft_target' is unknown; did you mean 'soft_targets'? there are ",
    ),
    "no loss": (
        {"students.cut.objective.distill": []},
        "students.cut.objective: distill is an empty list: ",
    ),
    "schedule": (
        {"students.cut.objective.beta": {"from": 0, "to": -1, "epochs": 2}},
        "students.cut.objective.beta.to: input should be greater than or equal to 0, found -1",
    ),
    "schedule of a temperature": (
        {"students.cut.objective.distill": {"name": "dist", "temperature": {"from": 0, "to": 1, "epochs": 2}}},
        "students.cut.objective.distill.temperature.from: input should be greater than 0, found 0",
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
        "teacher: objective.beta is for students, and a teacher that is trained here has no teacher: remove it",
    ),
    "one view": (
        {
            "students.small.objective": {"self_distillation": [{"name": "cr_ctc"}]},
            "student_augment": {"time_masks": 0, "frequency_masks": 0},
        },
        "students.small.objective.self_distillation: cr_ctc compares two masked views, but",
    ),
    "no inner layer": (
        {"teacher.objective": {"self_distillation": [{"name": "intermediate_ctc", "layers": [2]}]}},
        "teacher.objective.self_distillation: intermediate_ctc names layer 2 of 2: choose inner ones, from 1 to 1",
    ),
    # corpora
    "a corpus of the whole machine": (
        {"corpus": {"kind": "nemo", "root": "/..", "files": {"all": "a.json"}}},
        "corpus.root: /.. is the whole machine, all of which DVC would watch: name a folder of recordings in it",
    ),
    "validation speaker alone": (
        {"corpus": {**FSDD, "valid_speaker": "theo"}},
        "corpus: valid_speaker needs test_speaker, for the official split is not by speaker: give both,",
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
        {"student_training": {**TRAINING, "precision": "bf16", "qat": "int8"}},
        "student_training: qat int8 rounds 32-bit values, found precision bf16: use no",
    ),
    "no float32": (
        {"export.forms": ["float16", "int8_static"]},
        "export: forms lacks float32, from which the others are made and against which they are held: add it",
    ),
    "a form twice": (
        {"export.forms": ["float32", "float32"]},
        "export: forms names one twice (float32, float32): write it",
    ),
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
}

test_a_mistake_is_one_line_with_its_path = each_in_one_line(MISTAKES)
