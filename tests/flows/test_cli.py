"""`kd`: what it says and how it ends."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
import yaml
from typer.testing import CliRunner

from flows.checks import require_server
from flows.cli import app

REPO = Path(__file__).parents[2]
COMMANDS = ("run", "schedule", "ui", "check", "schema", "results", "import")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_help_loads_nothing_heavy():
    code = (
        "import sys, flows.cli; print([m for m in ('prefect', 'mlflow', 'torch', 'dvc', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_schema_goes_to_a_file_or_to_standard_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["schema"]).exit_code == 0
    written = (tmp_path / "params.schema.json").read_text(encoding="utf-8")
    assert CliRunner().invoke(app, ["schema", "--out", "-"]).stdout == written
    result = CliRunner().invoke(app, ["schema", "--out", "no/such.json"])
    assert (result.exit_code, result.stderr) == (
        2,
        "--out: no/such.json cannot be written: No such file or directory\n",
    )


def test_the_schema_needs_no_torch():
    code = "import sys; from tasks.params.json_schema import schema_text; schema_text(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_import_looks_at_a_corpus_and_writes_where_it_is_told_to(tmp_path, monkeypatch, capfd):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.1, 0.1, 16_000), 16_000)
    (tmp_path / "table.csv").write_text("path,text\na.wav,one\n")
    shutil.copy(REPO / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    assert CliRunner().invoke(app, ["import", "table.csv", "--write"]).exit_code == 0
    assert "  0000001-a  1.00 s  speaker unknown  one" in capfd.readouterr().out.splitlines()
    section = {"kind": "manifest", "root": ".", "file": "table.csv"}
    assert yaml.safe_load((tmp_path / "params.yaml").read_text())["corpus"] == section
    assert CliRunner().invoke(app, ["import", "no.csv"]).exit_code == 2


@pytest.mark.parametrize("command", [["run"], ["check"], ["ui"], ["schedule", "--cron", "0 3 * * *"]])
def test_wrong_parameters_stop_every_command_before_it_does_anything(toy, monkeypatch, command):
    toy.set("student_training.epochs", 0)
    toy.set("teacher.training.epochz", 3)
    monkeypatch.chdir(toy.root)
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert any("student_training.epochs" in line for line in lines)
    assert any("did you mean 'epochs'?" in line for line in lines)
    assert not (toy.root / "scratch").exists()


@pytest.mark.parametrize("command", ["run", "check"])
def test_an_input_that_is_not_there_is_named_before_anything_runs(toy, monkeypatch, command):
    toy.set("corpus", {"kind": "manifest", "root": "my", "file": "table.csv"})
    monkeypatch.chdir(toy.root)
    result = CliRunner().invoke(app, [command])
    assert result.exit_code == 1
    assert [line.partition(" is not there")[0] for line in result.stderr.splitlines()] == [
        "corpus.root: my",
        "corpus.file: my/table.csv",
    ]
    assert not (toy.root / "scratch").exists()


def test_a_run_with_nothing_to_do_starts_no_server_and_shows_the_table_and_the_links(finished, monkeypatch):
    monkeypatch.chdir(finished.root)
    result = CliRunner().invoke(app, ["run"])
    assert result.exit_code == 0
    assert "Everything is up to date." in result.output
    assert "Starting Prefect" not in result.output
    assert "distilled" in result.output
    assert "report.html" in result.output
    assert "compareRunsMode=CHART" in result.output


def test_a_table_that_is_not_there_is_an_error_that_says_what_makes_it(toy, monkeypatch):
    monkeypatch.chdir(toy.root)
    result = CliRunner().invoke(app, ["results"])
    assert result.exit_code == 1
    assert "kd run" in result.stderr


@pytest.mark.parametrize(
    "content", [b"", b"\xffmodel,params\na,1\n", b"model,params\na,1,2\nb,3\n,,,,\n", b"name,params\na,1\n"]
)
def test_a_damaged_table_of_results_is_one_line(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "results.csv").write_bytes(content)
    result = CliRunner().invoke(app, ["results"])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("reports/results.csv is damaged (")
    assert line.endswith("`kd run` makes it again")


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e22", "9" * 5_000])
@pytest.mark.parametrize(
    "command",
    [["run", "--timeout-hours"], ["run", "--jobs"], ["run", "--retries"], ["study", "s.yaml", "--jobs"],
     ["tune", "s.yaml", "--jobs"], ["tune", "s.yaml", "--trials"], ["ui", "--port"]],
)  # fmt: skip
def test_numbers_that_make_no_sense_are_refused(tmp_path, monkeypatch, command, value):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [*command, value])
    assert result.exit_code == 2
    assert command[-1] in result.stderr
    assert max(map(len, result.stderr.splitlines())) <= 500


def test_cells_of_the_table_are_no_markup(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "results.csv").write_text("model,role\n[/odd],[bold]b\n")
    result = CliRunner().invoke(app, ["results"])
    assert result.exit_code == 0
    assert "[/odd]" in result.stdout
    assert "[bold]b" in result.stdout


def test_many_students_and_long_names_of_models_end_in_short_lines(toy, monkeypatch):
    monkeypatch.chdir(toy.root)
    students = yaml.safe_load((toy.root / "params.yaml").read_text())["students"]
    baseline = next(recipe for recipe in students.values() if recipe["init"] == "random")
    toy.set("students", {f"{'x' * 40}{i}": baseline for i in range(40)})
    (line, *_) = CliRunner().invoke(app, ["check"]).stdout.splitlines()
    assert line.startswith("params.yaml is valid: ")
    assert len(line) <= 500
    result = CliRunner().invoke(app, ["transcribe-testset", "x" * 5_000])
    assert (result.exit_code, result.stderr) == (2, "MODEL: File name too long: name a folder, or a model of the hub\n")


@pytest.mark.parametrize(
    "damage", [b"name: \xff\n", b"name: a\nname: b\n", b"name: !!python/name:os.system x\n", b"[["]
)
@pytest.mark.parametrize("command", [["run"], ["check"], ["ui"], ["study", "params.yaml"], ["tune", "params.yaml"]])
def test_a_file_that_yaml_cannot_build_is_one_line_for_every_command(tmp_path, monkeypatch, command, damage):
    (tmp_path / "params.yaml").write_bytes(damage)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("params.yaml: line ")
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize(
    ("params", "line"),
    [
        ("3", "found 3"),
        ("{students: 3}", "params.students: should be a mapping, found 3"),
        ("{teacher: {}, students: {a: []}}", "params.students.a: should be a mapping, found []"),
        ("{corpus: {parts: {a: 1}}}", "params.corpus.parts.a: should be a mapping, found 1"),
    ],
)
def test_parameters_inside_a_study_or_a_search_are_looked_at_before_they_are_reached_into(tmp_path, params, line):
    study = tmp_path / "study.yaml"
    study.write_text(f"name: s\nfold_key: corpus.test_speaker\nfolds: [a]\nseeds: [1]\nparams: {params}\n")
    search = tmp_path / "search.yaml"
    search.write_text(
        f"name: s\nstudent: a\ntrials: 1\nspace: {{students.a.init: {{choices: [x]}}}}\nparams: {params}\n"
    )
    for command in (["study", str(study)], ["tune", str(search)]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 2
        assert line in result.stderr


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/api", "nonsense", "http://", "http://[::1", "x" * 900])
def test_a_dead_prefect_server_is_one_line_that_names_the_variable(monkeypatch, capsys, address):
    monkeypatch.setenv("PREFECT_API_URL", address)
    with pytest.raises(typer.Exit) as raised:
        require_server()
    assert raised.value.exit_code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("PREFECT_API_URL: no Prefect server answers at ")
    assert len(line) <= 500


@pytest.mark.parametrize(("old", "new"), [("search", "tune"), ("table", "results"), ("listen", "transcribe-testset")])
def test_a_command_by_its_old_name_says_the_new_one(old, new):
    result = CliRunner().invoke(app, [old, "anything", "--option"])
    assert result.exit_code == 2
    assert result.stderr == f"kd {old} is renamed to `kd {new}`\n"


def test_code_that_python_cannot_read_is_named_before_anything_runs(monkeypatch, capsys):
    from flows.checks import dvc_in_one_line
    from flows.dvc_state.graph import DigestsError

    with pytest.raises(typer.Exit) as ended, dvc_in_one_line(Path()):
        raise DigestsError("the digests of the code cannot be made:\nkd/losses/dist.py, line 3")
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err.endswith("kd/losses/dist.py, line 3\n")
