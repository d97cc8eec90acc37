"""Corpora side by side: every row says of which part it is, and keeps to the splits that are taken."""

from typing import Any

from tasks.stages import corpus

SPEAKERS = ("ann", "bob", "cyd")


def parts(project: Any) -> dict[str, Any]:
    """Two manifests: one names a split for each row, the other none, and not every text."""
    tables = {
        "made": [
            {"id": f"u{i}", "path": project.record(f"made/{s}{i}.wav"), "text": "one", "speaker": s, "split": split}
            for i, (s, split) in enumerate(zip(SPEAKERS * 2, ("train", "valid", "test") * 2, strict=True))
        ],
        "real": [
            {"id": f"u{i}", "path": project.record(f"real/{i}.wav"), "text": "two" if i % 2 else "", "speaker": "dan"}
            for i in range(4)
        ],
    }
    for name, rows in tables.items():
        project.manifest(rows)
        (project.recordings / "manifest.jsonl").rename(project.recordings / f"{name}.jsonl")

    def one(name: str, **more: Any) -> dict[str, Any]:
        return {"corpus": {"kind": "manifest", "root": "corpus", "file": f"{name}.jsonl"}, **more}

    whole = {"made": one("made", splits=["train", "valid", "test"]), "real": one("real", splits=["train"])}
    return {"kind": "several", "root": "corpus", "parts": whole}


def test_rows_know_their_part_and_go_where_it_is_taken(project):
    settings = parts(project)
    corpus.run(project.params(corpus=settings), project.paths)
    raw = project.raw().set_index("id")
    assert {name.split("-")[0] for name in raw.index} == {"made", "real"}
    assert (raw["part"] == [name.split("-")[0] for name in raw.index]).all()
    assert raw["split"][raw["part"] == "real"].tolist() == ["train"] * 4
    settings["parts"]["made"]["splits"] = ["train", "valid"]
    corpus.run(project.params(corpus=settings), project.paths)
    assert "test" not in set(project.raw()["split"])


def test_unlabelled_audio_is_kept_for_training_alone(project):
    settings = parts(project)
    project.prepare(corpus=settings, preprocess={"max_quarantined_share": 1.0})
    assert project.quarantine() == {"real-u0": "missing_text", "real-u2": "missing_text"}
    project.prepare(corpus=settings, preprocess={"unlabelled": "keep", "max_quarantined_share": 0.0})
    table = project.table().set_index("id")
    assert table["text"].isna().sum() == 2
    assert set(table.index[table["text"].isna()]) == {"real-u0", "real-u2"}
    settings["parts"]["real"]["splits"] = ["test"]
    project.prepare(corpus=settings, preprocess={"unlabelled": "keep", "max_quarantined_share": 1.0})
    assert project.quarantine() == {"real-u0": "missing_text", "real-u2": "missing_text"}


def test_a_single_corpus_is_its_own_part(project):
    rows = parts(project)["parts"]["made"]["corpus"]
    corpus.run(project.params(corpus=rows), project.paths)
    assert set(project.raw()["part"]) == {"manifest"}


def test_limits_draw_the_same_utterances_whatever_the_order(project):
    rows = [{"path": project.record(f"{i}.wav"), "text": "one", "split": ("train", "test")[i % 2]} for i in range(12)]
    drawn = []
    for order in (rows, rows[::-1]):
        project.manifest(order)
        limited = {"kind": "manifest", "root": "corpus", "file": "manifest.jsonl", "limits": {"train": 2}}
        corpus.run(project.params(corpus=limited), project.paths)
        raw = project.raw()
        assert raw["split"].value_counts().to_dict() == {"train": 2, "test": 6}
        drawn.append(set(raw["path"]))
    assert drawn[0] == drawn[1]
