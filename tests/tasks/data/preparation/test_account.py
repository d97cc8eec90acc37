"""What preparation did is said: classes that merge or vanish, recordings that were mended. In the log and the card."""

import json
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kd.text.writing import Writing

RATE = 16_000
MODEL = {"family": "rnn", "cell": "gru", "bidirectional": True, "stem": 8, "width": 8, "layers": 1, "hidden": 8}
KEYWORDS = {
    "problem": {"kind": "keyword"},
    "teacher": {"source": "train", "model": MODEL, "training": {"epochs": 1, "batch_seconds": 10}},
    "students": {"small": {"init": "random", "model": MODEL, "teacher": "none", "objective": {}}},
}
ALL_MAY_BE_BAD = {"max_quarantined_share": 1.0}


def session(project):
    """One recording, of which each row of a table takes another half of a second."""
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, 60 * RATE)
    return project.write("session.wav", samples)


def rows_of(labels, path="session.wav", split="train", first=0):
    return [
        {"id": f"{split}{i}", "path": path, "text": label, "split": split, "start": i / 2, "end": i / 2 + 0.5}
        for i, label in enumerate(labels, start=first)
    ]


def heard_apart(first):
    """What every project needs: two classes, and a row in each part."""
    return [
        *rows_of(["yes", "no"], first=first),
        *rows_of(["yes"], split="valid", first=first + 2),
        *rows_of(["no"], split="test", first=first + 3),
    ]


def card_of(project):
    return json.loads((project.paths.prepared / "card.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "spellings", [("Stop", "stop"), ("caf\u00e9", "cafe\u0301"), ("on\u200b", "on"), ("go!", "go"), ("ＯＫ", "ok")]
)
def test_labels_that_become_one_class_are_named(project, spellings):
    session(project)
    project.manifest([*heard_apart(10), *rows_of(spellings)])
    project.prepare(**KEYWORDS)
    merged = card_of(project)["classes"]["merged"]
    assert [sorted(spellings)] == list(merged.values())
    (line,) = [line for line in project.said if line.startswith("classes: ")]
    assert next(iter(merged)) in line
    assert all(part in line for part in map(ascii_or_plain, spellings))


def ascii_or_plain(label):
    return repr(label) if label.isprintable() and label != "cafe\u0301" else ascii(label)


def test_labels_that_stay_apart_are_no_matter_of_the_log(project):
    session(project)
    project.manifest(heard_apart(0))
    project.prepare(**KEYWORDS)
    assert card_of(project)["classes"] == {"given": 2, "kept": 2, "merged": {}, "vanished": {}, "never_trained": {}}
    assert not [line for line in project.said if "class" in line]


def test_a_class_whose_training_rows_are_all_put_aside_is_refused(project):
    session(project)
    silence = project.write("silence.wav", np.zeros(4 * RATE))
    project.manifest([*heard_apart(10), *rows_of(["_silence_"] * 3, silence), *rows_of(["?!"], first=5)])
    with pytest.raises(ValueError, match=r"of 2 classes: '\?!' \(1 missing_text\), 'silence' \(3 silent\): no model"):
        project.prepare(**KEYWORDS, preprocess=ALL_MAY_BE_BAD)
    assert "train0,silence.wav,silent" in (project.paths.scratch / "quarantine.csv").read_text()


def test_the_last_class_but_one_that_is_lost_is_named_rather_than_counted(project):
    session(project)
    project.manifest([*rows_of(["yes"]), *rows_of(["no"], "lost.wav", first=1), *heard_apart(10)[2:]])
    with pytest.raises(ValueError, match=r"of 1 class: 'no' \(1 missing_file\)"):
        project.prepare(**KEYWORDS, preprocess=ALL_MAY_BE_BAD)


def test_classes_that_never_train_are_named(project):
    session(project)
    project.manifest([*heard_apart(10), *rows_of(["left"], split="valid"), *rows_of(["right"], split="test", first=2)])
    project.prepare(**KEYWORDS, preprocess=ALL_MAY_BE_BAD)
    classes = card_of(project)["classes"]
    assert classes["never_trained"] == {"left": {"valid": 1}, "right": {"test": 1}}
    assert classes["vanished"] == {"left": {"label_not_in_training": 1}}
    assert any("no row is left of 1 class: 'left'" in line for line in project.said)
    assert any("every test row counts as an error: 1 class: 'right' (1 test)" in line for line in project.said)


LABELS = st.text(st.sampled_from("aAbB\u00e9e\u0301\u200b!? -"), min_size=1, max_size=3)
ROWS = st.tuples(LABELS, st.sampled_from(["session.wav", "lost.wav"]), st.sampled_from(["train", "valid", "test"]))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROWS, max_size=8))
def test_every_class_of_the_corpus_is_one_of_the_data_or_is_named(project, rows):
    session(project)
    more = [rows_of([label], path, split, i)[0] for i, (label, path, split) in enumerate(rows, start=20)]
    project.manifest([*heard_apart(0), *more])
    refusal, spellings = refusal_of(project), defaultdict(set)
    for label, *_ in rows:
        if label.strip():
            spellings[name_of(label)].add(label.strip())
    trains = {name_of(label) for label, path, split in rows if split == "train" and path == "session.wav"}
    lost = {name_of(label) for label, _, split in rows if split == "train" and label.strip()} - trains
    lost |= {name for name in trains if not Writing().plain(name)}
    if lost - {""}:
        assert refusal.startswith(f"all training rows were put aside of {len(lost - {''})} class")
        return
    assert refusal == ""
    kept, classes = {*project.table()["text"]}, card_of(project)["classes"]
    assert all(name in kept or name in classes["vanished"] for name in spellings)
    assert classes["merged"] == {name: sorted(found) for name, found in spellings.items() if len(found) > 1}


def refusal_of(project):
    try:
        project.prepare(**KEYWORDS, preprocess=ALL_MAY_BE_BAD)
    except ValueError as error:
        return str(error)
    return ""


def name_of(label):
    return Writing().plain(label) or label.strip()


@pytest.mark.parametrize("problem", [{}, KEYWORDS])
def test_what_was_done_to_recordings_is_counted_with_an_example(project, problem):
    noise = np.random.default_rng(1).uniform(-0.1, 0.1, (3, RATE))
    stereo = np.stack([noise[2], -noise[2]], axis=1)
    files = [
        project.write("leaning.wav", noise[0] + 0.3),
        project.write("again.wav", noise[1] - 0.3),
        project.write("opposed.wav", stereo),
    ]
    session(project)
    rows = [{"id": file, "path": file, "text": "yes", "split": "train"} for file in files]
    project.manifest([*heard_apart(0), *rows])
    project.prepare(**problem)
    found = card_of(project)["recordings"]
    assert {kind: facts["utterances"] for kind, facts in found.items()} == {"offset": 2, "channels": 1}
    assert found["offset"]["example"] == {
        "file": "leaning.wav",
        "what": "an offset of +0.30 of full scale is taken away",
    }
    assert any("taken away from 2 recordings, such as leaning.wav: an offset of +0.30" in line for line in project.said)
    assert any("loudest in 1 recording, such as opposed.wav: its 2 channels" in line for line in project.said)


def test_pieces_of_a_recording_and_its_joined_parts_count_once(project):
    session(project)
    long = project.write("long.wav", np.random.default_rng(1).uniform(-0.1, 0.1, 4 * RATE) + 0.3)
    project.manifest([*heard_apart(0), {"id": "long", "path": long, "text": "yes", "split": "train"}])
    project.prepare(**KEYWORDS, preprocess={"too_long": "split", "max_seconds": 1.5})
    assert sum(project.table()["id"].str.startswith("long+")) == 3
    assert card_of(project)["recordings"]["offset"]["utterances"] == 1
