"""Cut anywhere, what long work goes on from is whole again, or put aside with a line; nothing raises."""

import json

import optuna
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.runner.atomic_io import put_aside, whole_file, write_whole
from tasks.runner.event_log import EventReader
from tasks.runner.kept_files import cut_to_whole_lines, read_whole_csv, read_whole_json
from tasks.teachers.transcribers.cache import _read
from tasks.training.train import RESUME_FILE, _load_resume, _save_resume

STATE = {"epoch": 3, "model": {"weight": torch.arange(6.0)}, "history": [{"loss": 1.0}]}
WIDE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def broken(folder):
    return [file for file in folder.iterdir() if ".broken" in file.name]


def clear(folder):
    for file in folder.iterdir():
        file.unlink()


@WIDE
@given(share=st.floats(0, 0.99))
def test_a_cut_resume_state_is_put_aside_and_training_begins_anew(tmp_path, share):
    clear(tmp_path)
    _save_resume(tmp_path, STATE)
    file = tmp_path / RESUME_FILE
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    assert _load_resume(tmp_path) is None
    assert len(broken(tmp_path)) == 1
    assert _load_resume(tmp_path) is None
    _save_resume(tmp_path, STATE)
    assert _load_resume(tmp_path)["epoch"] == 3


def test_what_was_put_aside_is_said_and_never_overwritten(tmp_path, capsys):
    for _ in range(3):
        (tmp_path / "a").write_text("x")
        put_aside(tmp_path / "a", "two\nlines")
    assert sorted(file.name for file in broken(tmp_path)) == ["a.broken", "a.broken-2", "a.broken-3"]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "put aside as a.broken, and begun anew" in lines[0]


@WIDE
@given(share=st.floats(0, 0.999))
def test_cut_rows_of_a_study_are_never_read(tmp_path, share):
    clear(tmp_path)
    file = tmp_path / "rows.json"
    text = json.dumps({"a": 1, "b": [1, 2, 3]})
    file.write_text(text[: int(share * len(text))])
    assert read_whole_json(file) is None
    assert not file.exists()
    table = pd.DataFrame({"cell": ["a-1", "b-1"], "model": ["x", "y"], "errors": [10, 12]}).to_csv(index=False)
    file = tmp_path / "study.csv"
    file.write_text(table[: int(share * len(table))])
    found = read_whole_csv(file, ("cell", "model"))
    assert found is None or set(found["errors"]) <= {10, 12}


@WIDE
@given(share=st.floats(0, 1))
def test_a_cut_journal_goes_on_from_its_whole_lines(tmp_path, share):
    clear(tmp_path)
    file = tmp_path / "journal.log"
    lines = [json.dumps({"op_code": i, "worker_id": "w"}) + "\n" for i in range(5)]
    whole = "".join(lines).encode()
    cut = whole[: int(share * len(whole))]
    file.write_bytes(cut)
    cut_to_whole_lines(file)
    kept = file.read_bytes()
    assert kept == b"".join(cut.splitlines(keepends=True)[: cut.count(b"\n")])
    assert len(broken(tmp_path)) == (kept != cut)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_optuna_takes_a_journal_that_was_cut(tmp_path, share):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    file = tmp_path / "journal.log"

    def study():
        backend = optuna.storages.journal.JournalFileBackend(str(file))
        storage = optuna.storages.JournalStorage(backend)
        return optuna.create_study(study_name="s", storage=storage, load_if_exists=True)

    study().optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    cut_to_whole_lines(file)
    study().optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    assert study().trials[-1].state == optuna.trial.TrialState.COMPLETE


@WIDE
@given(junk=st.binary(max_size=30))
def test_damaged_lines_of_caches_and_spools_are_left_out(tmp_path, junk):
    good = json.dumps(["k", {"texts": [["a", 1.0]], "confidence": 0.5, "no_speech": None}]).encode()
    file = tmp_path / "heard.jsonl"
    file.write_bytes(junk + b"\n3\n[1, 2]\n" + good + b"\n")
    assert "k" in dict(_read(file))
    event = json.dumps({"event": "end", "status": "FAILED"}).encode()
    file.write_bytes(junk + b"\n" + event + b"\n")
    assert EventReader(file).new_events()[-1]["status"] == "FAILED"


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    file = tmp_path / "a.csv"
    write_whole(file, "before")

    def fail():
        with whole_file(file) as partial:
            partial.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert file.read_text() == "before"
    assert [f.name for f in tmp_path.iterdir()] == ["a.csv"]
