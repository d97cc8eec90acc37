"""Archives of WebDataset, as webdataset writes them: grouped by name, and never unpacked by it."""

import io
import tarfile
from typing import Any

import numpy as np
import pytest
import soundfile
from manifests import KEEP_ALL

from tasks.data.corpora.archives import members
from tasks.data.corpora.raw import Place, RawUtterance, read_raw
from tasks.data.corpora.sources import sources
from tasks.data.corpora.webdataset import split_name
from tasks.params.corpus_formats import WebDatasetCorpus
from tasks.stages import corpus


def encoded(number: int, form: str = "FLAC") -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.random.default_rng(number).uniform(-0.1, 0.1, 16_000), 16_000, format=form)
    return out.getvalue()


def archive(project: Any, name: str, files: dict[str, bytes]) -> None:
    project.recordings.mkdir(exist_ok=True)
    with tarfile.open(project.recordings / name, "w") as out:
        for inside, content in files.items():
            info = tarfile.TarInfo(inside)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))


def settings(**more: Any) -> dict[str, Any]:
    return {"kind": "webdataset", "root": "corpus", "files": {"all": "shard-*.tar"}, **more}


def read(project: Any, **more: Any) -> list[RawUtterance]:
    corpus.run(project.params(corpus=settings(**more)), project.paths)
    return list(read_raw(project.paths.raw / "utterances.parquet"))


def test_names_end_at_the_first_dot():
    assert split_name("a.b/c.seg1.FLAC") == ("a.b/c", "seg1.flac")
    assert split_name("c") == ("c", "")


def test_archives_that_webdataset_wrote(project):
    wds = pytest.importorskip("webdataset", reason="make test installs it (requirements-test.lock)")
    project.recordings.mkdir()
    with wds.ShardWriter(str(project.recordings / "shard-%03d.tar"), maxcount=4, verbose=0) as out:
        for i in range(6):
            speech = {"flac": encoded(i)} if i % 2 else {"wav": encoded(i, "WAV")}
            said = {"txt": "one two", "json": {"speaker": f"s{i}", "text": "not this"}}
            out.write({"__key__": f"talk/{i}", **speech, **said})
    rows = read(project)
    assert [(r.id, r.text, r.speaker) for r in rows] == [
        (f"all-shard-00{i // 4}-talk/{i}", "one two", f"s{i}") for i in range(6)
    ]
    assert rows[5].path == "audio/all-00001/0000/0000002.flac"
    assert [(project.paths.raw / r.path).read_bytes() for r in rows[:2]] == [encoded(0, "WAV"), encoded(1)]
    assert read(project, text="text")[0].text == "not this"
    project.prepare(corpus=settings(), preprocess=KEEP_ALL)
    assert len(project.table()) == 6


def test_bad_samples_are_put_aside_and_nothing_leaves_the_folder(project):
    good = {f"{i}.flac": encoded(i) for i in range(6)}
    for i in range(6):
        good |= {f"{i}.txt": b"one", f"{i}.json": b'{"speaker": %d}' % i}
    good = {name: good[name] for name in sorted(good)}
    bad = {
        "../../out.flac": encoded(20), "../../out.txt": b"one",
        "quiet.txt": b"one",
        "two.flac": encoded(21), "two.wav": encoded(22, "WAV"), "two.txt": b"one",
        "odd.flac": encoded(23), "odd.txt": b"caf\xe9",
        "json.flac": encoded(24), "json.json": b"{",
        "mute.flac": encoded(25),
        "list.flac": encoded(27), "list.json": b'{"text": ["one", "two"]}',
        "who.flac": encoded(28), "who.txt": b"one", "who.json": b'{"speaker": {"id": 1}}',
        "noise.flac": b"no sound", "noise.txt": b"one",
        "label.flac": encoded(26), "label.cls": b"one", "label.npy": b"\0",
    }  # fmt: skip
    archive(project, "shard-0.tar", good | bad)
    project.prepare(corpus=settings(), preprocess=KEEP_ALL)
    assert {name.removeprefix("all-shard-0-"): reason for name, reason in project.quarantine().items()} == {
        "quiet": "missing_file", "two": "unreadable", "odd": "unreadable", "json": "unreadable", "list": "unreadable",
        "who": "unreadable",
        "mute": "missing_text", "noise": "unreadable", "label": "missing_text",
    }  # fmt: skip
    said = (project.paths.prepared / "quarantine.csv").read_text()
    assert "shard-0.tar, odd: its .txt cannot be read: byte 0xe9 is not UTF-8" in said
    assert """text in its .json is '[""one"", ""two""]': expected a text or a whole number""" in said
    assert "shard-0.tar, two: several recordings: flac, wav: leave one" in said
    assert set(project.table()["id"]) == {*(f"all-shard-0-{i}" for i in range(6)), "all-shard-0-../../out"}
    assert not list(project.root.rglob("out.flac"))
    labelled = [row for row in read(project, text="cls") if row.text]
    assert [(row.id, row.text) for row in labelled] == [("all-shard-0-label", "one")]


def test_what_is_no_archive_is_an_error(project):
    archive(project, "shard-0.tar", {f"{i}.flac": encoded(i) for i in range(3)})
    file = project.recordings / "shard-0.tar"
    file.write_bytes(file.read_bytes()[:40_000])
    with pytest.raises(
        ValueError, match=r"^shard-0\.tar cannot be read as a tar archive after \d files: .*Copy it again"
    ):
        read(project)
    file.write_text("no archive, but a text that is long enough for a block of one" * 20)
    with pytest.raises(ValueError, match=r"^shard-0\.tar cannot be read as a tar archive: "):
        read(project)
    with pytest.raises(ValueError, match="no such file"):
        read(project, files={"all": "no.tar"})


def test_an_archive_that_ends_early_anywhere_is_refused(project):
    """At the end of each block, so that no file is cut in two; tarfile would take it for the end."""
    archive(project, "shard-0.tar", {f"{i}.txt": b"one" * (200 * i) for i in range(4)})
    file = project.recordings / "shard-0.tar"
    whole = file.read_bytes()
    end = len(whole.rstrip(b"\0")) // 512 * 512 + 512
    found, place = (
        WebDatasetCorpus(**settings(files={"all": "shard-0.tar"})),
        Place(project.root, project.root, project),
    )
    (source,) = sources(found.files, found, place)
    for content in (*(whole[:cut] for cut in range(0, end + 512 + 1, 512)), whole[: end + 512] + whole[:512]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"^shard-0\.tar cannot be read as a tar archive.*Copy it again"):
            list(members(source, found))
    bad = bytearray(whole)
    bad[512] ^= 1
    file.write_bytes(bad)
    with pytest.raises(ValueError, match=r"archive after 1 files: bad checksum where a file or the end marker was"):
        list(members(source, found))
    file.write_bytes(whole[: end + 1024])
    assert [name for name, _ in members(source, found)] == ["0.txt", "1.txt", "2.txt", "3.txt"]


def test_archives_of_one_name_in_two_parts_give_ids_of_their_own(project):
    for part in ("train", "test"):
        (project.recordings / part).mkdir(parents=True)
        archive(project, f"{part}/0.tar", {"a.flac": encoded(0), "a.txt": b"one"})
    rows = read(project, files={"train": "train/*.tar", "test": "test/*.tar"})
    assert [row.id for row in rows] == ["train-0-a", "test-0-a"]


def test_tarred_data_sets_of_nemo(project):
    """Names in the manifest are those of files in the archives; what the manifest leaves out is left out."""
    lines = [
        '{"audio_filepath": "a_0.flac", "duration": 1.0, "text": "one", "shard_id": 0}',
        '{"audio_filepath": "a_0-sub1.flac", "offset": 0.5, "duration": 0.5, "text": "two", "shard_id": 0}',
        '{"audio_filepath": "gone.flac", "duration": 1.0, "text": "one", "shard_id": 0}',
    ]
    archive(project, "audio_0.tar", {"./a_0.flac": encoded(0), "left.flac": encoded(1)})
    archive(project, "audio_1.tar", {"a_0.flac": encoded(2)})
    (project.recordings / "m_0.json").write_text("\n".join(lines))
    (project.recordings / "m_1.json").write_text(lines[0])
    nemo = {"kind": "nemo", "files": {"train": "m_*.json"}, "tars": {"train": "audio_*.tar"}}
    first, second, gone, other = read(project, **nemo)
    assert (project.paths.raw / first.path).read_bytes() == encoded(0)
    assert (second.path, second.start_s, second.end_s, second.text) == (first.path, 0.5, 1.0, "two")
    assert gone.fault.detail == "m_0.json, row 3: gone.flac is in none of its archives"
    assert (project.paths.raw / other.path).read_bytes() == encoded(2)
    assert len(list(project.paths.raw.rglob("*.flac"))) == 2
    one = read(project, **{**nemo, "files": {"train": "m_0.json"}})
    assert [row.fault.reason for row in one] == ["duplicate_id", "duplicate_id", "missing_file"]
    assert one[0].fault.detail.startswith("m_0.json, row 1: a_0.flac is in its archives more than once")
    archive(project, "audio_2.tar", {"x.flac": encoded(0)})
    with pytest.raises(ValueError, match=r"corpus\.files\.train are 2 manifests, corpus\.tars\.train 3 archives"):
        read(project, **nemo)
    with pytest.raises(ValueError, match=r"tars\.test has no manifest: name it in files\.test"):
        read(project, **{**nemo, "tars": {"test": "audio_*.tar"}})
