"""`kd import hf:NAME`: configurations and splits of a data set are found on the hub."""

from fnmatch import fnmatchcase

import pytest
from hub import TREE, hub_of

from tasks.data.importing.recognise import settings_of


def test_splits_are_the_parts(tmp_path, monkeypatch):
    with hub_of(b"", monkeypatch):
        said: list[str] = []
        found = settings_of(["hf:me/x/fr"], None, None, tmp_path, said.append)
        assert found == {
            "kind": "huggingface",
            "root": "models/none",
            "hub": "me/x",
            "files": {
                "train": "fr/partial-train/*.parquet",
                "test": "fr/test/*.parquet",
                "valid": "fr/validation/*.parquet",
            },
        }
        assert said == [
            "partial-train is the beginning of a split: the hub keeps no more of it as Parquet",
            "Left out, for their names say no part: other. `files` may name them",
        ]
        assert settings_of(["hf:me/x/en"], None, None, tmp_path)["files"] == {"all": "en/train/*.parquet"}


@pytest.mark.parametrize(
    ("splits", "files"),
    [
        (
            ("test.clean", "test.other", "train.clean.100", "train.clean.360", "unsupervised", "validation"),
            {"train": "train.clean.*", "valid": "validation", "test": "test.*"},
        ),
        (("train", "unsupervised"), {"train": "train"}),
        (("train.100", "train.360"), {"all": "train.*"}),
        (("clean", "other"), {"all": "*"}),
        (("partial-train.a", "train.b", "xtrain.b"), "partial-train.a, train.b are all of the part train: write the"),
        (("clean", "test"), "which split is for training is not in their names: .* each of clean, test that"),
    ],
)
def test_no_split_is_dropped_without_a_word(tmp_path, monkeypatch, splits, files):
    folders = {TREE: ["en"], f"{TREE}/en": [f"en/{split}" for split in splits]}
    said: list[str] = []
    with hub_of(b"", monkeypatch) as hub:
        monkeypatch.setattr(hub, "folders", folders)
        if isinstance(files, str):
            with pytest.raises(ValueError, match=files):
                settings_of(["hf:me/x"], None, None, tmp_path)
            return
        found = settings_of(["hf:me/x"], None, None, tmp_path, said.append)["files"]
    assert found == {part: f"en/{pattern}/*.parquet" for part, pattern in files.items()}
    taken = {s for s in splits for pattern in files.values() if fnmatchcase(s, pattern)}
    assert [split for split in splits if split not in taken] == [s for s in ("unsupervised",) if s in splits]
    assert ("Left out, for their names say no part: unsupervised" in " ".join(said)) == ("unsupervised" in splits)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["hf:me/x"], "hf:me/x has several configurations: write hf:me/x/CONFIG, one of en, fr"),
        (["hf:me/x/de"], "me/x has no configuration de; there are en, fr"),
        (["hf:me/y"], "the hub has no data set me/y as Parquet"),
        (["hf:me/x/en", "a.json"], "hf:me/x/en is a whole data set: import it alone"),
    ],
)
def test_what_is_not_there_is_said(tmp_path, monkeypatch, given, message):
    with hub_of(b"", monkeypatch), pytest.raises(ValueError, match=message):
        settings_of(given, None, None, tmp_path)
