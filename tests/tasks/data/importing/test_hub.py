"""`kd import hf:NAME`: configurations and splits of a data set are found on the hub."""

import pytest
from hub import hub_of

from tasks.data.importing.recognise import settings_of


def test_splits_are_the_parts(tmp_path, monkeypatch):
    with hub_of(b"", monkeypatch):
        found = settings_of(["hf:me/x/fr"], None, None, tmp_path)
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
        assert settings_of(["hf:me/x/en"], None, None, tmp_path)["files"] == {"all": "en/train/*.parquet"}


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
