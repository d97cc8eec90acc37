"""Folders that no stage makes any more: only what a stage left is removed."""

import pytest
import yaml

from flows.dvc_state.graph import Graph, Node
from flows.dvc_state.leftovers import remove_leftovers

GRAPH = Graph([Node("export@small", frozenset(), ("exports/small",))])


@pytest.fixture
def project(tmp_path):
    for path in ("exports/small", "exports/old", "exports/mine", "evaluation/mine", "models/mine", "canary/old"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "model.onnx").write_bytes(b"12345")
    out = {"path": "exports/old", "hash": "md5", "md5": "0" * 32 + ".dir", "size": 5, "nfiles": 1}
    stages = {
        "export@old": {"cmd": "python -m tasks export old", "outs": [out]},
        "canary@old": {"cmd": "python -m tasks canary old", "outs": [out | {"path": "canary/old"}]},
    }
    lock = {"schema": "2.0", "stages": stages}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump(lock))
    return tmp_path


def names(root, folders):
    return [folder.relative_to(root).as_posix() for folder in folders]


def test_a_users_own_folder_is_left_alone_and_named(project):
    gone, left = remove_leftovers(project, GRAPH)
    assert names(project, gone) == ["exports/old", "canary/old"]
    assert names(project, left) == ["exports/mine", "evaluation/mine"]
    assert (project / "exports/mine/model.onnx").read_bytes() == b"12345"
    assert (project / "models/mine").is_dir()


def test_what_a_user_put_into_a_stages_folder_is_not_removed_with_it(project):
    (project / "exports/old/notes.txt").write_text("mine")
    gone, left = remove_leftovers(project, GRAPH)
    assert names(project, gone) == ["canary/old"]
    assert "exports/old" in names(project, left)


def test_without_a_record_nothing_is_removed(project):
    (project / "dvc.lock").unlink()
    assert remove_leftovers(project, GRAPH)[0] == []
