"""What a user put where a stage is going to write is never removed: it is named, and nothing runs."""

import shutil

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.dvc_state.graph import look
from flows.dvc_state.unsaved_outputs import unsaved_outputs
from flows.pipeline import PipelineError, pipeline
from tasks.runner.resume import note_begun

PLACES = ("models/teacher", "exports/distilled", "data/raw", "models/initial/distilled", "reports/cards")


def named(project):
    return unsaved_outputs(project.root, look(project.root).graph.nodes)


@pytest.mark.parametrize("place", PLACES)
def test_a_folder_from_before_the_first_run_is_named_and_stays(toy, place):
    mine = toy.root / place / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    (line,) = named(toy)
    assert line.startswith(f"{toy.root / place} holds notes.txt, which no stage left so")
    assert mine.read_text() == "mine"


def test_kd_run_refuses_before_any_work(toy, monkeypatch):
    (toy.root / "exports").mkdir()
    (toy.root / "exports" / "distilled").write_text("a file, not a folder")
    monkeypatch.chdir(toy.root)
    refused = CliRunner().invoke(app, ["run"])
    assert refused.exit_code == 2
    assert (
        refused.stderr.strip().splitlines()[-1].startswith("exports/distilled is there, and no stage made it as it is")
    )
    assert (toy.root / "exports" / "distilled").read_text() == "a file, not a folder"
    assert toy.diary() == []


def test_what_dvc_cannot_read_is_one_line(toy, monkeypatch):
    monkeypatch.chdir(toy.root)
    (toy.root / "dvc.lock").write_text("<<<<<<< ours\nschema: '2.0'\n=======\nschema: '2.0'\n>>>>>>> theirs\n")
    refused = CliRunner().invoke(app, ["run"])
    assert refused.exit_code == 2, refused.output
    assert "dvc.lock" in refused.stderr.strip().splitlines()[-1]
    shutil.rmtree(toy.root / ".dvc")
    for command in (["run"], ["schedule", "--cron", "0 3 * * *"]):
        refused = CliRunner().invoke(app, command)
        assert refused.exit_code == 2, refused.output
        assert "is no DVC repository: .dvc is missing" in refused.stderr.strip().splitlines()[-1]
    assert toy.diary() == []


def test_a_scheduled_run_refuses_too(toy, prefect_server):
    (toy.root / "models" / "teacher").mkdir()
    (toy.root / "models" / "teacher" / "weights.bin").write_bytes(b"precious")
    with pytest.raises(PipelineError, match=r"models/teacher holds weights\.bin"):
        pipeline(root=str(toy.root))
    assert (toy.root / "models" / "teacher" / "weights.bin").read_bytes() == b"precious"
    assert toy.diary() == []


def test_a_file_put_among_a_stages_own_is_named(finished):
    assert named(finished) == []
    (finished.root / "models/teacher/notes.txt").write_text("mine")
    content = finished.root / "exports/distilled/tokens.txt"
    content.chmod(0o644)
    content.write_text("changed by hand")
    (finished.root / "evaluation/teacher/mine.txt").write_text("beside what the stage writes")
    lines = named(finished)
    assert len(lines) == 2
    assert any("models/teacher holds notes.txt, which" in line for line in lines)
    assert any("exports/distilled holds tokens.txt, which" in line for line in lines)


def test_what_is_in_the_cache_or_half_gone_is_no_stranger(finished):
    (finished.root / "dvc.lock").unlink()
    shutil.rmtree(finished.root / "scratch", ignore_errors=True)
    (finished.root / "models/teacher/content").unlink()
    (finished.root / "data" / "raw").rename(finished.root / "data" / "elsewhere")
    (finished.root / "data" / "raw").mkdir()
    assert named(finished) == []


def test_what_a_killed_stage_left_is_its_own(toy):
    (toy.root / "models" / "teacher").mkdir()
    (toy.root / "models" / "teacher" / "model.safetensors").write_bytes(b"half")
    assert len(named(toy)) == 1
    note_begun(toy.root, "teacher")
    assert named(toy) == []


def test_a_link_to_a_folder_is_a_users_own(toy, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("big-disk")
    (toy.root / "models" / "teacher").symlink_to(elsewhere)
    (line,) = named(toy)
    assert "models/teacher is a link to a folder" in line
