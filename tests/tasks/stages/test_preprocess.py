"""Preprocess: each kind of broken input is named, what is kept is what was recorded, and bytes do not vary."""

import json
from typing import Any

import numpy as np
import pytest
import soundfile
from manifests import KEEP_ALL, good_rows

from kd.runtime.audio import read
from kd.text.vocabulary import Vocabulary
from tasks.data.preparation.quarantine import Reason
from tasks.data.preparation.schema import check_prepared

RATE = 16_000
MODEL = {"family": "rnn", "cell": "gru", "bidirectional": True, "stem": 8, "width": 8, "layers": 1, "hidden": 8}
KEYWORDS = {
    "problem": {"kind": "keyword"},
    "teacher": {"source": "train", "model": MODEL, "training": {"epochs": 1, "batch_seconds": 10}},
    "students": {"small": {"init": "random", "model": MODEL, "teacher": "none", "objective": {}}},
}


def broken_rows(project: Any) -> dict[Reason, list[dict[str, Any]]]:
    """At least one utterance for each reason but those of labels."""
    write, record, folder = project.write, project.record, project.recordings
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, RATE)
    record("fine.wav")
    (folder / "text.wav").write_text("this is no audio")
    (folder / "zero.wav").write_bytes(b"")
    (folder / "folder.wav").mkdir()
    record("../outside.wav")
    (folder / "link.wav").symlink_to(project.root / "outside.wav")
    whole = (folder / write("whole.flac", noise)).read_bytes()
    (folder / "cut.flac").write_bytes(whole[: len(whole) // 2])
    broken = np.where(np.arange(RATE) == 500, np.nan, noise)

    def row(path: str | None, text: str | None = "one two", **others: Any) -> dict[str, Any]:
        return {"path": path, "text": text, **others}

    return {
        Reason.MISSING_FILE: [row("nowhere.wav"), row(None), row("null\0byte.wav")],
        Reason.OUTSIDE_ROOT: [row("../outside.wav"), row("link.wav"), row(str(project.root / "outside.wav"))],
        Reason.UNREADABLE: [row("text.wav"), row("folder.wav"), row("cut.flac")],
        Reason.EMPTY: [row("zero.wav"), row(write("no_samples.wav", np.zeros(0)))],
        Reason.BAD_SEGMENT: [
            row("fine.wav", start_s=0.5, end_s=3.0),
            row("fine.wav", start_s=0.8, end_s=0.2),
            row("fine.wav", start_s="soon", end_s=0.9),
        ],
        Reason.NON_FINITE: [row(write("nan.wav", broken, subtype="FLOAT"))],
        Reason.SILENT: [row(write("silent.wav", np.zeros(RATE))), row(write("offset.wav", np.full(RATE, 0.3)))],
        Reason.CLIPPED: [row(write("clipped.wav", np.clip(noise * 50, -1, 1)))],
        Reason.TOO_SHORT: [row(record("short.wav", seconds=0.05))],
        Reason.TOO_LONG: [row(record("long.wav", seconds=11.0))],
        Reason.MISSING_TEXT: [row("fine.wav", None), row("fine.wav", "  "), row("fine.wav", "?!")],
        Reason.OUT_OF_ALPHABET: [row("fine.wav", "naïve"), row("fine.wav", "route 66")],
        Reason.NOT_ALIGNABLE: [
            row(record("fast.wav"), "so many words cannot be said in a second"),
            row(record("repeats.wav", seconds=0.4), "aaaaaa"),
        ],
        Reason.DUPLICATE: [row("good-0-0.wav")],
        Reason.DUPLICATE_ID: [row(record("other.wav"), id="good-0-1")],
    }


def test_each_kind_of_broken_input_is_named(project):
    good = good_rows(project)
    expected: dict[str, str] = {}
    bad: list[dict[str, Any]] = []
    for reason, rows in broken_rows(project).items():
        for i, row in enumerate(rows):
            bad.append({"id": f"{reason}-{i}", "split": "train", **row})
            expected[bad[-1]["id"]] = reason.value
    project.manifest(good + bad)
    metrics = project.prepare(preprocess={"max_quarantined_share": 1.0})
    assert project.quarantine() == expected
    assert len(set(expected.values())) >= 12
    assert set(project.table()["id"]) == {row["id"] for row in good}
    assert metrics["quarantined"] == len(expected)
    assert metrics["quarantined_too_long"] == 1
    assert any("3 unreadable" in line for line in project.said)
    assert project.said[-1].startswith("the test part has 1 speaker: no claim can be made")


def test_every_test_utterance_that_decodes_and_has_a_reference_counts(project):
    """Nothing that is put aside of the training part may flatter the test part."""
    clipped = np.clip(np.random.default_rng(3).standard_normal(RATE) * 50, -1, 1)
    rows = {
        "silent": (project.write("silent.wav", np.zeros(RATE)), "one two"),
        "clipped": (project.write("clipped.wav", clipped), "one two"),
        "short": (project.record("short.wav", seconds=0.05), "one"),
        "long": (project.record("long.wav", seconds=11.0), "one two"),
        "unwritable": (project.record("numerals.wav"), "Route 66"),
        "fast": (project.record("fast.wav"), "so many words cannot be said in a second"),
    }
    test = [
        {"id": name, "path": path, "text": text, "split": "test", "speaker": "heard"}
        for name, (path, text) in rows.items()
    ]
    project.manifest([*good_rows(project), *test])
    project.prepare()
    table = project.table().set_index("id")
    assert project.quarantine() == {}
    assert (table.loc[list(rows), "split"] == "test").all()
    assert table.loc["unwritable", "text"] == "route 66"
    assert table.loc["long", "duration_s"] == 11.0


def test_the_test_part_is_what_kd_transcribe_decodes(project):
    """Neither trimmed nor levelled: the samples that `kd transcribe` takes from the same file."""
    quiet_N = 0.001 * np.random.default_rng(4).standard_normal(2 * RATE)
    quiet_N[: RATE // 2] = 0
    row = {"path": project.write("quiet.wav", quiet_N), "text": "one", "split": "test", "speaker": "a"}
    project.manifest([*good_rows(project), {"id": "quiet", **row}])
    project.prepare(preprocess={"trim_db": 40.0, "level_dbfs": -23.0})
    heard_N = read(str(project.recordings / "quiet.wav"), RATE)
    assert np.array_equal(project.samples("quiet") / 32768, heard_N)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_recording_in_two_parts_is_found_though_only_one_is_levelled(project, split):
    good = good_rows(project)
    recording = project.record("same.wav")
    twice = [{"id": name, "path": recording, "text": "one", "speaker": name} for name in ("first", "second")]
    order = ("train", "test") if split == "test" else ("test", "train")
    another = {"path": project.record("another.wav"), "text": "two", "speaker": "third", "split": "test"}
    project.manifest([*good, another, *(row | {"split": part} for row, part in zip(twice, order, strict=True))])
    project.prepare()
    assert project.quarantine() == {"second": "duplicate"}


def test_no_reason_goes_without_a_test(project):
    assert {*broken_rows(project), Reason.LABEL_NOT_IN_TRAINING} == set(Reason)


def test_too_much_quarantine_stops_the_stage_and_keeps_the_table(project):
    project.manifest(good_rows(project))
    project.prepare()
    before = project.bytes_of(project.paths.prepared)
    project.manifest([*good_rows(project), *({"path": f"lost{i}.wav", "text": "one"} for i in range(4))])
    with pytest.raises(ValueError, match=r"4 of 16 utterances \(25\.0%\).*4 missing_file.*quarantine\.csv"):
        project.prepare()
    assert "lost3.wav,missing_file" in (project.paths.scratch / "quarantine.csv").read_text()
    assert project.bytes_of(project.paths.prepared) == before
    assert not list(project.paths.prepared.parent.glob(".*.partial"))


def test_a_split_without_utterances_stops_the_stage(project):
    rows = [row | {"split": "test"} for row in good_rows(project)]
    project.manifest(rows)
    with pytest.raises(ValueError, match="no utterance is left for train and valid"):
        project.prepare()


def test_samples_are_those_of_the_recording(project):
    rng = np.random.default_rng(1)
    recorded = {f"r{i}": rng.integers(-20_000, 20_000, 4_000 + i).astype("<i2") for i in range(4)}
    project.manifest(
        [
            {"id": n, "path": project.write(f"{n}.wav", s), "text": "one", "speaker": n, "split": split}
            for (n, s), split in zip(recorded.items(), ("train", "train", "valid", "test"), strict=True)
        ]
    )
    project.prepare(preprocess=KEEP_ALL)
    for name, samples in recorded.items():
        assert np.array_equal(project.samples(name), samples)


def test_gaps_are_closed_where_the_second_pass_drops_utterances(project):
    rows = good_rows(project)
    rows[3]["text"] = rows[8]["text"] = "far too many words for so short a time"
    project.manifest(rows)
    project.prepare(preprocess=KEEP_ALL)
    assert set(project.quarantine()) == {rows[3]["id"], rows[8]["id"]}
    check_prepared(project.paths.prepared, RATE)
    for row in (rows[2], rows[4], rows[11]):
        recorded, _ = soundfile.read(project.recordings / row["path"], dtype="int16")
        assert np.array_equal(project.samples(row["id"]), recorded)


def test_segments_are_cut_where_the_table_says(project):
    samples = np.random.default_rng(2).integers(-9_000, 9_000, 8 * RATE).astype("<i2")
    path = project.write("session.wav", samples)
    project.manifest(
        [{"id": f"s{i}", "path": path, "text": "one", "start": i, "end": i + 0.75, "speaker": f"{i}"} for i in range(8)]
    )
    project.prepare(preprocess=KEEP_ALL)
    assert np.array_equal(project.samples("s5"), samples[5 * RATE : 5 * RATE + RATE * 3 // 4])


def test_labels_are_those_of_the_training_part(project):
    rows = [row | {"text": f"Word {i % 3}", "split": "train"} for i, row in enumerate(good_rows(project))]
    rows[0] |= {"split": "valid"}
    rows[1] |= {"split": "test"}
    rows[2] |= {"split": "test", "text": "unheard"}
    project.manifest(rows)
    rows[3] |= {"split": "valid", "text": "unheard"}
    project.manifest(rows)
    project.prepare(**KEYWORDS)
    assert project.quarantine() == {rows[3]["id"]: "label_not_in_training"}
    facts = json.loads((project.paths.prepared / "prepared.json").read_text())
    assert facts["vocabulary"]["tokens"] == ["word 0", "word 1", "word 2"]


@pytest.mark.parametrize(("mode", "lengths_s"), [("crop", [10.0]), ("split", [8.3333, 8.3333, 8.3333])])
def test_long_keywords_are_cropped_or_split(project, mode, lengths_s):
    rows = good_rows(project)
    rows.append({"id": "long", "path": project.record("long.wav", seconds=25.0), "text": "three", "split": "train"})
    for row, split in zip(rows, ("valid", "test", *["train"] * 10), strict=False):
        row["split"] = split
    project.manifest(rows)
    limit = lengths_s[0] + 0.001
    project.prepare(**KEYWORDS, preprocess={"too_long": mode, "max_seconds": limit})
    table = project.table()
    pieces = table[table["id"].str.startswith("long")]
    assert pieces["duration_s"].tolist() == pytest.approx(lengths_s, abs=0.01)


def test_sentencepiece_units_carry_every_text_of_the_alphabet(project):
    rows = [row | {"text": t} for row, t in zip(good_rows(project), ["one two", "two one", "one"] * 4, strict=True)]
    rows[-1]["text"] = "quiz"
    project.manifest(rows)
    units = {"kind": "sentencepiece", "size": 30}
    project.prepare(problem={"kind": "transcription", "units": units})
    facts = json.loads((project.paths.prepared / "prepared.json").read_text())
    vocabulary = Vocabulary.from_dict(facts["vocabulary"])
    assert len(vocabulary) == 30 + 1
    assert vocabulary.decode(vocabulary.encode("zebra jumps")) == "zebra jumps"
    assert project.quarantine() == {}
    with pytest.raises(ValueError, match=r"9000 units.*problem\.units\.size"):
        project.prepare(problem={"kind": "transcription", "units": units | {"size": 9000}})


def test_tokens_of_another_recogniser_carry_every_text_of_the_alphabet(project):
    """Of BPE pieces in capitals; what the table cannot write is named before anything is trained."""
    project.manifest(good_rows(project))
    pieces = ["<blk>", "<unk>", "▁T", "WO", "▁TWO", "ON", "▁ON", "▁ONE", "▁", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"]
    file = project.recordings / "tokens.txt"
    file.write_text("".join(f"{piece} {i}\n" for i, piece in enumerate(pieces)), encoding="utf-8")
    project.prepare(problem={"kind": "transcription", "units": {"kind": "tokens", "file": "tokens.txt"}})
    vocabulary = Vocabulary.from_dict(json.loads((project.paths.prepared / "prepared.json").read_text())["vocabulary"])
    assert vocabulary.tokens == tuple(piece if piece[0] == "<" else piece.lower() for piece in pieces)
    assert vocabulary.decode(vocabulary.encode("two one's")) == "two one's"
    assert project.quarantine() == {}
    file.write_text("<blk> 0\n▁A 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"^problem.units.file: .*tokens.txt: no token is 'a', 'b', 'c'"):
        project.prepare(problem={"kind": "transcription", "units": {"kind": "tokens", "file": "tokens.txt"}})


def test_card_counts_what_is_there(project):
    project.manifest([*good_rows(project), {"path": "lost.wav", "text": "one"}])
    project.prepare(preprocess=KEEP_ALL)
    card = json.loads((project.paths.prepared / "card.json").read_text())
    assert (card["utterances"], card["speakers"], card["hours"]) == (12, 6, round(12 / 3600, 4))
    assert card["words"] == {"total": 24, "distinct": 2, "commonest": {"one": 12, "two": 12}}
    assert card["quarantine"] == {"total": 1, "missing_file": 1}
    assert sum(part["utterances"] for part in card["splits"].values()) == 12
    assert card["speakers_in_more_than_one_split"] == 0
    svg = (project.paths.prepared / "card.svg").read_text()
    assert "Commonest words" in svg
    assert "<dc:date>" not in svg
