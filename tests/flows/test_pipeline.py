"""The flow over the real graph with toy stages: what runs, what is restored, what happens when something fails."""

import subprocess
import sys

import pytest
import yaml
from mlflow import MlflowClient
from typer.testing import CliRunner

from flows.cli import app
from flows.dvc_state.graph import look
from flows.pipeline import PipelineError, pipeline
from flows.run.model_registry import register_best
from tasks.tracking.champion import CANDIDATE as ALIAS
from tasks.tracking.pipeline_run import comparison_link, lock_digest
from tasks.tracking.runs import tracking_uri

CHANGED = {
    "cache_logits",  # asks which students read them; what it computed before it finds again
    "propagate@distilled",
    "distil@distilled",
    "export@distilled",
    "evaluate@distilled",
    "profile",
    "report",
}


def test_first_run_runs_all_in_order_and_the_next_is_nothing(first_run):
    toy, verdicts = first_run
    assert set(verdicts) == set(look(toy.root).graph.nodes)
    assert set(verdicts.values()) == {"ran"}
    assert toy.noted("end").index("teacher") < toy.noted("begin").index("distil-distilled")
    assert not look(toy.root).stale
    assert pipeline(root=str(toy.root)) == {}


def test_students_run_side_by_side_and_profile_runs_alone(first_run):
    toy, _ = first_run  # in which teacher and propagate-baseline wait for each other
    spans = spans_of(toy)
    overlapping = [(a, b) for a in spans for b in spans if a < b and overlap(spans[a], spans[b])]
    assert overlapping, "nothing ran in parallel"
    assert not [pair for pair in overlapping if "profile" in pair]


def test_one_students_parameter_reruns_its_branch_and_back_restores_it(finished):
    locked = finished.lock()
    beta = params_of(finished)["students"]["distilled"]["objective"]["beta"]
    finished.set("students.distilled.objective.beta", 0.25)
    changed = pipeline(root=str(finished.root))
    assert {name for name, verdict in changed.items() if verdict == "ran"} == CHANGED

    finished.forget()
    finished.set("students.distilled.objective.beta", beta)
    back = pipeline(root=str(finished.root))
    assert set(back) == CHANGED
    assert set(back.values()) <= {"restored", "cached"}
    assert finished.noted("begin") == []
    assert finished.lock() == locked


def test_a_failure_is_explained_stops_its_branch_only_and_the_rest_runs_later(finished):
    finished.set("student_training.steps", 3)
    finished.order("distil-distilled", "fail")
    with pytest.raises(PipelineError) as failure:
        pipeline(root=str(finished.root), retries=0)
    message = str(failure.value)
    assert "failed: distil@distilled" in message
    assert "export@distilled" in message
    assert "reading the tea leaves" in message
    assert "ValueError: distil-distilled was ordered to fail" in message
    assert "evaluate-baseline" in finished.noted("end"), "the other student should have been finished"
    assert finished.statuses("distil/distilled")[-1] == "FAILED"
    assert "RUNNING" not in finished.statuses()

    finished.forget()
    finished.order("distil-distilled")
    verdicts = pipeline(root=str(finished.root), retries=0)
    assert set(verdicts) == CHANGED - {"cache_logits", "propagate@distilled"}
    assert "RUNNING" not in finished.statuses()


def test_a_second_attempt_goes_on_where_the_first_one_failed(finished):
    finished.outdate("evaluate@baseline")
    finished.order("evaluate-baseline", "fail", "once")
    assert pipeline(root=str(finished.root), retries=1)["evaluate@baseline"] == "ran"
    assert finished.noted("resumed") == ["evaluate-baseline"]


def test_a_stage_that_takes_too_long_is_ended_with_all_its_processes(finished):
    finished.outdate("evaluate@baseline")
    finished.order("evaluate-baseline", "sleep", "6000")
    with pytest.raises(PipelineError, match="failed: evaluate@baseline"):
        pipeline(root=str(finished.root), retries=0, timeout_s=20.0)
    assert finished.processes() == []
    assert "RUNNING" not in finished.statuses()


def test_a_users_own_folder_among_the_exports_is_left_alone_and_named(finished, capsys):
    mine = finished.root / "exports" / "mine"
    mine.mkdir()
    (mine / "model.onnx").write_text("precious")
    pipeline(root=str(finished.root))
    assert (mine / "model.onnx").read_text() == "precious"
    assert "exports/mine is left alone" in capsys.readouterr().out


def test_after_a_student_is_gone_the_second_run_is_nothing(finished):
    params = params_of(finished)
    del params["students"]["distilled"]
    (finished.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    assert set(pipeline(root=str(finished.root))) == {"cache_logits", "profile", "report"}
    assert not (finished.root / "exports" / "distilled").exists()
    assert pipeline(root=str(finished.root)) == {}


def test_what_ended_before_dvc_recorded_it_is_not_repeated(finished, monkeypatch):
    finished.outdate("export@baseline")
    monkeypatch.setenv("DVC_STAGE", "export@baseline")
    subprocess.run([sys.executable, "-m", "tasks", "export", "baseline"], cwd=finished.root, check=True)
    assert finished.noted("end") == ["export-baseline"]
    assert pipeline(root=str(finished.root))["export@baseline"] == "ran"
    assert finished.noted("resumed") == ["export-baseline"]
    assert not list((finished.root / "scratch" / "resume").rglob("step")), "nobody needs them any more"


def test_states_that_dvc_alone_leaves_go_with_the_next_run(finished, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "distil@baseline")
    subprocess.run([sys.executable, "-m", "tasks", "distil", "baseline"], cwd=finished.root, check=True)
    assert list((finished.root / "scratch" / "resume").rglob("step"))
    assert pipeline(root=str(finished.root)) == {}
    assert not list((finished.root / "scratch" / "resume").rglob("step"))


def test_mlflow_has_one_parent_with_a_child_for_each_stage_and_model(first_run):
    toy, verdicts = first_run
    parents = [run for run in toy.runs() if run.data.tags.get("kd.kind") == "pipeline"]
    assert [parent.info.status for parent in parents] == ["FINISHED"]
    children = [run for run in toy.runs() if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    stages = sorted(run.data.tags["kd.stage"] for run in children if "kd.stage" in run.data.tags)
    assert len(stages) == len(verdicts)
    assert "distil/baseline" in stages
    models = {run.info.run_name: run for run in children if run.data.tags.get("kd.kind") == "model"}
    assert set(models) == {"model/baseline", "model/distilled", "model/teacher"}
    assert {"test_wer", "params"} <= set(models["model/baseline"].data.metrics)
    assert models["model/baseline"].data.tags["kd.dvc_md5"] == toy.lock()["distil@baseline"]["outs"][0]["md5"]
    assert "baseline/test_wer" in parents[0].data.metrics
    assert parents[0].data.tags["verdict.distil/baseline"] == "ran"
    files = {file.path for file in MlflowClient(tracking_uri(toy.root)).list_artifacts(parents[0].info.run_id)}
    assert {"dvc.lock", "params.yaml", "results.csv", "report.html", "verdicts.md"} <= files
    link = comparison_link(toy.root, "default", "http://127.0.0.1:5000")
    assert link is not None
    assert parents[0].info.run_id in link
    assert "metrics.%60test_wer%60" in link


def test_the_curves_and_parameters_of_a_stage_are_logged(first_run):
    toy, _ = first_run
    run = next(run for run in toy.runs() if run.data.tags.get("kd.stage") == "distil/baseline")
    assert run.data.metrics["answer"] == 42.0
    assert run.data.metrics["loss"] == 1.0
    assert run.data.params["student_training.steps"] == str(params_of(toy)["student_training"]["steps"])
    assert run.info.status == "FINISHED"


def test_trouble_with_mlflow_ends_no_run_and_the_next_one_makes_up_for_it(finished, monkeypatch, capfd):
    finished.outdate("evaluate@baseline")
    before = len(finished.runs())
    with monkeypatch.context() as broken:
        broken.setenv("MLFLOW_TRACKING_URI", "sqlite:////dev/null/mlflow.db")
        verdicts = pipeline(root=str(finished.root))
    assert verdicts["report"] == "ran"
    output = capfd.readouterr().out
    assert "this run is not recorded in MLflow" in output
    assert "the candidate is not registered" in output
    assert len(finished.runs()) == before

    assert pipeline(root=str(finished.root)) == {}
    assert newest_parent(finished).data.tags["kd.lock"] == lock_digest(finished.root)
    assert pipeline(root=str(finished.root)) == {}
    assert len(parents_of(finished)) == 2, "what was recorded is recorded once"


def test_a_run_killed_between_the_last_stage_and_its_end_is_completed(finished, monkeypatch):
    """Only MLflow knows that its end was missing: the parent is closed as KILLED, and there is no candidate."""
    client = MlflowClient(tracking_uri(finished.root))
    run_id = newest_parent(finished).info.run_id
    client.set_terminated(run_id, "KILLED")
    client.delete_registered_model("default")
    monkeypatch.chdir(finished.root)
    done = CliRunner().invoke(app, ["run"])
    assert done.exit_code == 0, done.output
    assert "Everything is up to date." in done.output
    assert newest_parent(finished).info.run_id != run_id
    assert newest_parent(finished).info.status == "FINISHED"
    assert client.get_model_version_by_alias("default", ALIAS).tags["student"] == "distilled"
    assert "is now default@candidate" not in CliRunner().invoke(app, ["run"]).output


def test_a_candidate_that_cannot_be_registered_is_one_line_and_is_tried_again(finished, monkeypatch):
    client = MlflowClient(tracking_uri(finished.root))
    client.delete_registered_model("default")
    file = finished.root / "exports" / "distilled" / "tokens.txt"
    tokens = file.read_bytes()
    for content, expected in (
        (None, "the candidate is not registered (FileNotFoundError"),
        (tokens, "is now default@"),
    ):
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_bytes(content)
        output = []
        register_best(finished.root, output.append)
        assert len(output) == 1
        assert expected in output[0]


def params_of(toy):
    return yaml.safe_load((toy.root / "params.yaml").read_text())


def parents_of(toy):
    return [run for run in toy.runs() if run.data.tags.get("kd.kind") == "pipeline"]


def newest_parent(toy):
    return max(parents_of(toy), key=lambda run: run.info.start_time)


def spans_of(toy):
    begin, end = {}, {}
    for entry in toy.diary():
        (begin if entry["what"] == "begin" else end)[entry["stage"]] = entry["time_s"]
    return {stage: (begin[stage], end[stage]) for stage in end}


def overlap(one, other):
    return one[0] < other[1] and other[0] < one[1]
