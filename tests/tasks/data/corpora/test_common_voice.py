"""Common Voice's tables: quotes do not quote, clips lie in a folder beside them, a client is a speaker."""

from typing import Any

import pytest
from manifests import KEEP_ALL

from tasks.stages import corpus

HEADER = (
    "client_id", "path", "sentence_id", "sentence", "sentence_domain", "up_votes", "down_votes", "age", "gender",
    "accents", "variant", "locale", "segment",
)  # fmt: skip
"""As Common Voice 17 writes it."""


def table(project: Any, name: str, rows: list[tuple[str, str, str]], header: tuple[str, ...] = HEADER) -> None:
    """(client, clip, sentence)."""
    project.recordings.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(header)]
    for client, clip, sentence in rows:
        cells = {"client_id": client, "path": clip, "sentence": sentence, "up_votes": "2", "locale": "en"}
        lines.append("\t".join(cells.get(name, "") for name in header))
    (project.recordings / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def settings(**more: Any) -> dict[str, Any]:
    return {"kind": "common_voice", "root": "corpus", **more}


def test_quotes_do_not_quote_and_the_official_parts_are_kept(project):
    table(project, "train.tsv", [("a", "c_1.mp3", '"Yes," he said.'), ("a", "c_2.mp3", '"one')])
    table(project, "dev.tsv", [("b", "c_3.mp3", 'two"')])
    table(project, "test.tsv", [("c", "c_4.mp3", "three")])
    corpus.run(project.params(corpus=settings()), project.paths)
    raw = project.raw()
    assert raw["id"].tolist() == ["c_1", "c_2", "c_3", "c_4"]
    assert raw["text"].tolist() == ['"Yes," he said.', '"one', 'two"', "three"]
    assert raw["speaker"].tolist() == ["a", "a", "b", "c"]
    assert raw["split"].tolist() == ["train", "train", "valid", "test"]
    assert raw["path"].tolist()[0] == "clips/c_1.mp3"


def test_clips_are_prepared_and_bad_rows_put_aside(project):
    rows = [(f"client{i}", project.record(f"clips/c_{i}.mp3").removeprefix("clips/"), "one two") for i in range(6)]
    bad = [("client9", "nowhere.mp3", "one"), ("client9", "", "one"), ("client9", "c_0.mp3", "one"), ("c", "x.mp3", "")]
    table(project, "validated.tsv", rows + bad)
    project.prepare(corpus=settings(files={"all": "validated.tsv"}), preprocess=KEEP_ALL)
    assert project.quarantine() == {
        "nowhere": "missing_file",
        "0000008-unnamed": "missing_file",
        "c_0": "duplicate_id",
        "x": "missing_text",
    }
    assert len(project.table()) == 6
    assert "validated.tsv, row 8 (line 9): no path" in (project.paths.prepared / "quarantine.csv").read_text()


def test_a_table_without_sentences_is_an_error(project):
    table(project, "validated.tsv", [("a", "c.mp3", "")], header=("client_id", "path", "locale"))
    with pytest.raises(ValueError, match="no column sentence; found client_id, path, locale"):
        corpus.run(project.params(corpus=settings(files={"all": "validated.tsv"})), project.paths)
