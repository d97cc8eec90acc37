"""What is found in a folder is all that it holds, and each pattern stands for just what it was written for."""

from pathlib import Path

import pytest

from tasks.data.corpora.raw import Place
from tasks.data.corpora.sources import sources
from tasks.data.importing.parts import part_of
from tasks.data.importing.patterns import pattern_for
from tasks.data.importing.recognise import settings_of
from tasks.params.corpus_formats import WebDatasetCorpus
from tasks.runner.reporter import NullReporter

NUMBERED = [f"{i:06d}.tar" for i in range(3)]
SPLIT = [f"{part}_{i}.tar" for part in ("train", "test") for i in range(12)]


def files_in(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    return folder


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (NUMBERED, {"all": "*.tar"}),
        (["._000000.tar", *NUMBERED, "notes.txt"], {"all": "*.tar"}),
        (SPLIT, {"test": "test_*.tar", "train": "train_*.tar"}),
        (["0-train.tar", "1-train.tar", "0-dev.tar"], {"valid": "0-dev.tar", "train": "*-train.tar"}),
        (["shard-train-0.tar", "shard-train-1.tar", "shard-dev-0.tar"], None),
        (["train-0.tar", "training-0.tar", "x.tar"], None),
        (["a[1].tar", "a[2].tar", "dev.tar"], {"all": "a[[]*].tar", "valid": "dev.tar"}),
    ],
)
def test_patterns_stand_for_exactly_the_files_of_a_folder(tmp_path, monkeypatch, names, files):
    """As the reader of corpora expands them: nothing is lost, and nothing read twice."""
    monkeypatch.chdir(files_in(tmp_path, names))
    found = settings_of(["."], "webdataset", None, tmp_path)
    if files is not None:
        assert found["files"] == files
    corpus = WebDatasetCorpus.model_validate(found)
    read = [source.name for source in sources(corpus.files, corpus, Place(tmp_path, tmp_path, NullReporter()))]
    assert sorted(read) == sorted(name for name in names if name.endswith(".tar") and not name.startswith("."))


def test_files_for_which_there_is_no_pattern_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(
        files_in(tmp_path, ["tars/a.tar", "tars/b.tar", "tars/train.tar", "pq/0000.parquet", "pq/1.parquet", "x/0.tar"])
    )
    with pytest.raises(
        ValueError,
        match=r"^tars: no pattern .* the 2 files of the part all alone \(a\.tar, b\.tar\): write PART=PATTERN",
    ):
        settings_of(["tars"], None, None, tmp_path)
    assert settings_of(["pq"], None, None, tmp_path)["files"] == {"all": "*.parquet"}
    assert settings_of(["train=tars", "test=x"], None, None, tmp_path) == {
        "kind": "webdataset",
        "root": ".",
        "files": {"train": "tars/*.tar", "test": "x/0.tar"},
    }


def test_a_pattern_is_never_of_others():
    assert pattern_for(["train.100", "train.360"], ["train.100", "train.360", "test"]) == "train.*"
    assert pattern_for(["a", "c"], ["a", "b", "c"]) is None
    assert pattern_for(["x-1.tar"], ["x-1.tar", "x-2.txt"]) == "x-*.tar"


def test_the_numbers_of_test_sets_are_no_words():
    assert [part_of(name) for name in ("eval92", "dev93", "test_dev93", "si84", "data/train960")] == [
        "test", "valid", "valid", "all", "train",
    ]  # fmt: skip


def test_data_folders_whose_names_say_no_part_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files_in(tmp_path, [f"data/{name}/wav.scp" for name in ("train", "dev", "eval92", "si84")])
    said: list[str] = []
    found = settings_of(["data"], None, None, tmp_path, said.append)
    assert found["folders"] == {"train": "train", "valid": "dev", "test": "eval92"}
    assert said == ["Left out, for their names say no part: data/si84. PART=FOLDER for each names what is read"]
    files_in(tmp_path, ["data/eval/wav.scp"])
    with pytest.raises(ValueError, match=r"data/eval and data/eval92 are both of the part test: write PART=PATH"):
        settings_of(["data"], None, None, tmp_path)
    files_in(tmp_path, [f"wsj/{name}/wav.scp" for name in ("si84", "eval92")])
    with pytest.raises(ValueError, match=r"write PART=FOLDER for each of wsj/eval92, wsj/si84 that is to be read"):
        settings_of(["wsj"], None, None, tmp_path)
    files_in(tmp_path, ["one/mine/wav.scp"])
    assert settings_of(["one"], None, None, tmp_path)["folders"] == {"all": "mine"}


def test_tarred_data_sets_of_nemo_are_known_with_their_archives(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files_in(tmp_path, [f"set/audio_{i}.tar" for i in range(2)] + ["set/tarred_audio_manifest.json", "dev.json"])
    (tmp_path / "dev.json").write_text('{"audio_filepath": "a.wav", "text": "one"}\n')
    (tmp_path / "set/tarred_audio_manifest.json").write_text('{"audio_filepath": "a.wav", "text": "one"}\n')
    whole = {"files": {"all": "tarred_audio_manifest.json"}, "tars": {"all": "audio_*.tar"}}
    for given in ("set", "set/tarred_audio_manifest.json"):
        assert settings_of([given], None, None, tmp_path) == {"kind": "nemo", "root": "set", **whole}
    files_in(tmp_path, [f"set/sharded_manifests/manifest_{i}.json" for i in range(2)])
    assert settings_of(["train=set", "dev.json"], None, None, tmp_path) == {
        "kind": "nemo",
        "root": ".",
        "files": {"train": "set/sharded_manifests/manifest_*.json", "valid": "dev.json"},
        "tars": {"train": "set/audio_*.tar"},
    }
    given = "set/sharded_manifests/manifest_*.json"
    assert settings_of([given], "nemo", None, tmp_path)["tars"] == {"all": "audio_*.tar"}
    files_in(tmp_path, ["other/audio_0.tar"])
    assert settings_of(["other"], None, None, tmp_path)["kind"] == "webdataset"


def test_patterns_of_folders_are_taken_wherever_they_lie(tmp_path, monkeypatch):
    monkeypatch.chdir(files_in(tmp_path, ["pq/a/0.tar", "pq/b/0.tar"]))
    expected = {"kind": "webdataset", "root": "pq", "files": {"all": "*/0.tar"}}
    assert settings_of(["pq/*/0.tar"], None, None, tmp_path) == expected
    assert settings_of([f"{tmp_path}/pq/*/0.tar"], None, None, tmp_path) == expected
    with pytest.raises(ValueError, match=r"no/\*\.tar: there is no such file"):
        settings_of([f"{tmp_path}/no/*.tar"], None, None, tmp_path)


def test_the_whole_machine_and_the_home_folder_are_no_roots(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "homes/me"))
    line = '{"audio_filepath": "AUDIO", "text": "one"}\n'
    manifest = files_in(tmp_path, ["homes/me/lists/a.json", "project/x"]) / "homes/me/lists/a.json"
    for audio, root in (
        ("/elsewhere/a.wav", "/"),
        (f"{tmp_path}/homes/me/wav/a.wav", "me"),
        (f"{tmp_path}/homes/x", "homes"),
    ):
        manifest.write_text(line.replace("AUDIO", audio))
        with pytest.raises(
            ValueError, match=rf"only \S*{root} holds it and all .* say --root, or put the table beside"
        ):
            settings_of([str(manifest)], None, None, tmp_path / "project")
    assert settings_of([str(manifest)], None, str(manifest.parent), tmp_path / "project")["files"] == {"all": "a.json"}
    manifest.write_text(line.replace("AUDIO", f"{manifest.parent}/a.wav"))
    assert settings_of([str(manifest)], None, None, tmp_path / "project")["root"] == str(manifest.parent)
