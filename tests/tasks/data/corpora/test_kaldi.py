"""Data folders of Kaldi: joined by their keys in any order; commands are refused, and bad lines put aside."""

from dataclasses import asdict
from typing import Any

import pytest
from manifests import KEEP_ALL

from tasks.data.corpora.raw import read_raw
from tasks.stages import corpus


def folder(project: Any, name: str = "data/train", **tables: str) -> None:
    place = project.recordings / name
    place.mkdir(parents=True, exist_ok=True)
    for table, text in tables.items():
        (place / table.replace("wav_scp", "wav.scp")).write_text(text, encoding="utf-8")


def settings(**folders: str) -> dict[str, Any]:
    return {"kind": "kaldi", "root": "corpus", "folders": folders or {"train": "data/train"}}


def read(project: Any, **folders: str) -> list[dict[str, Any]]:
    corpus.run(project.params(corpus=settings(**folders)), project.paths)
    return [asdict(row) for row in read_raw(project.paths.raw / "utterances.parquet")]


def test_tables_are_joined_whatever_their_order(project):
    folder(
        project,
        wav_scp="rec2 wav/two words.wav\nrec1\twav/one.flac\n",
        segments="utt1 rec1 0.00 1.25\nutt3 rec2 2.5 -1\nutt2 rec1 1.25 2.5\n",
        text="utt3\nutt2 TWO  THREE\nutt1 ONE\n",
        utt2spk="utt1 ann\nutt2 ann\nutt3 utt3\n",
    )
    rows = read(project)
    assert [(r["id"], r["path"], r["start_s"], r["end_s"]) for r in rows] == [
        ("utt1", "wav/one.flac", 0.0, 1.25),
        ("utt3", "wav/two words.wav", 2.5, None),
        ("utt2", "wav/one.flac", 1.25, 2.5),
    ]
    assert [r["text"] for r in rows] == ["ONE", None, "TWO  THREE"]
    assert [r["speaker"] for r in rows] == ["ann", None, "ann"]


def test_without_segments_a_recording_is_an_utterance(project):
    folder(project, wav_scp="b s3://bucket/b.flac\na a.wav\n", text="a one\nb two\n")
    folder(project, "data/test", wav_scp="c c.wav\n")
    rows = read(project, test="data/test", all="data/train")
    assert [(r["id"], r["path"], r["text"], r["split"]) for r in rows] == [
        ("c", "c.wav", None, "test"),
        ("b", "s3://bucket/b.flac", "two", None),
        ("a", "a.wav", "one", None),
    ]
    assert rows[0]["start_s"] is None


def test_bad_lines_are_put_aside_each_with_its_place(project):
    recordings = "".join(f"rec{i} {project.record(f'wav/{i}.wav', seconds=2.0)}\n" for i in range(4))
    folder(
        project,
        wav_scp=recordings + "gone wav/gone.wav\nark raw.ark:1234\nbare\nrec3 wav/0.wav\n",
        segments="".join(f"u{i} rec{i // 2} {i % 2} {i % 2 + 1}\n" for i in range(6))
        + "late rec0 1.0 9.0\nodd rec0 one two\nfew rec0\nlost nowhere 0 1\ntwo rec3 0 1\nsaid rec0 0 0.5\n"
        + "mute rec0 0.2 0.9\nfile gone 0 1\npart ark 0 1\nnone bare 0 1\n",
        text="".join(f"u{i} one\n" for i in range(6))
        + "late one\nodd one\nfew one\nlost one\ntwo one\nsaid one\nfile one\npart one\nnone one\n"
        + "extra one\nsaid two\n",
        utt2spk="".join(f"u{i} s{i}\n" for i in range(6)),
    )
    project.prepare(corpus=settings(), preprocess=KEEP_ALL)
    assert project.quarantine() == {
        "late": "bad_segment",
        "odd": "bad_segment",
        "few": "bad_segment",
        "lost": "missing_file",
        "two": "duplicate_id",
        "said": "duplicate_id",
        "mute": "missing_text",
        "file": "missing_file",
        "part": "unreadable",
        "none": "missing_file",
        "extra": "missing_file",
    }
    table = (project.paths.prepared / "quarantine.csv").read_text()
    for detail in (
        "data/train/segments, line 8: expected utterance, recording, start, end: 'odd rec0 one two'",
        "data/train/segments, line 10: recording nowhere is not in wav.scp",
        "data/train/wav.scp, lines 4 and 8 say different things of rec3",
        "data/train/text, lines 12 and 17 say different things of said",
        "data/train/text, line 16: extra is not in segments",
        "data/train/wav.scp, line 6: raw.ark:1234 is a place in an archive",
        "data/train/wav.scp, line 7: bare names no file",
    ):
        assert detail in table
    assert len(project.table()) == 6


@pytest.mark.parametrize("command", ["touch {}/ran; cat b.wav |", "touch {}/ran | cat b.wav", "| touch {}/ran"])
def test_a_command_is_refused_and_not_run(project, tmp_path, command):
    folder(project, wav_scp=f"a a.wav\nb {command.format(tmp_path)}\n")
    with pytest.raises(
        ValueError, match=r"data/train/wav\.scp, line 2: b is the output of a command, '.*touch .*not run"
    ):
        read(project)
    assert not (tmp_path / "ran").exists()


def test_tables_that_are_no_tables_are_errors(project):
    folder(project, text="a one\n")
    with pytest.raises(ValueError, match=r"data/train/wav\.scp: no such file\. corpus\.folders\.train is relative to"):
        read(project)
    folder(project, wav_scp="a a.wav\n")
    (project.recordings / "data/train/text").write_bytes(b"a caf\xe9\n")
    with pytest.raises(ValueError, match=r"text, line 1 is not UTF-8 \(byte 0xe9\)"):
        read(project)
