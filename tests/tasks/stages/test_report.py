import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from dvc.render.converter.vega import VegaConverter
from workspace import make_params, make_workspace

from tasks.metric_names import ERROR_KINDS
from tasks.params.pipeline import Params
from tasks.reporting.forms import read_forms
from tasks.reporting.licences import licence_of
from tasks.runner.paths import Paths
from tasks.stages import evaluate, export, profile, report

REQUIRED = [
    "model", "role", "init", "objective", "params", "nonzero_params", "size_bytes", "macs_per_audio_second",
    "error_kind", "latency_ms_p50", "latency_ms_p95", "rtf",
    "peak_memory_mb",
]  # fmt: skip
REPO = Path(__file__).parents[3]
VOID = {"meta", "br", "link", "img", "input", "hr", "path", "use"}


class Page(HTMLParser):
    """Collects text and links, and refuses tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def finished(root: Path, problem: str = "transcription", **changes: Any) -> tuple[Params, Paths]:
    params, paths = make_params(problem, **changes), make_workspace(root, problem)
    for name in ("teacher", *params.students):
        export.run(params, paths, name)
        evaluate.run(params, paths, name)
    profile.run(params, paths)
    return params, paths


@pytest.fixture(scope="module", params=["transcription", "keyword"])
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Params, Paths]:
    forms = {"forms": ["float32", "float16", "int8_dynamic"]}
    params, paths = finished(tmp_path_factory.mktemp("report"), request.param, export=forms)
    report.run(params, paths)
    return params, paths


def test_the_table_has_a_row_a_model_and_every_column(done: tuple[Params, Paths]) -> None:
    params, paths = done
    table = pd.read_csv(paths.reports / "results.csv")
    error = f"test_{ERROR_KINDS[params.problem.kind]}"
    assert set(table.columns) >= {*REQUIRED, error, f"{error}_low", f"{error}_high", "verdict"}
    assert table["model"].tolist() == ["teacher", "baseline", "distilled"]
    assert table["role"].tolist() == ["teacher", "baseline", "student"]
    assert set(table["error_kind"]) == {"wer" if params.problem.kind == "transcription" else "keyword_error"}
    assert not table.isna().any(axis=None)
    for row in table.to_dict("records"):
        metrics = json.loads((paths.evaluation(row["model"]) / "metrics.json").read_text(encoding="utf-8"))
        timings = json.loads((paths.reports / "timings.json").read_text(encoding="utf-8"))["models"][row["model"]]
        assert row[error] == metrics[error]
        assert row["rtf"] == timings["rtf"]
        assert row[f"{error}_low"] <= row[error] <= row[f"{error}_high"]


def test_dvc_plots_the_error_whatever_it_is_called(done: tuple[Params, Paths]) -> None:
    """dvc.yaml names no y, for which DVC then takes the last column."""
    params, paths = done
    (plot,) = yaml.safe_load((REPO / "dvc.yaml").read_text())["stages"]["report"]["plots"]
    ((file, properties),) = plot.items()
    rows = pd.read_csv(paths.root / file).to_dict("records")
    _, shown = VegaConverter(file, {file: rows}, properties).flat_datapoints("workspace")
    assert (shown["x"], shown["y"]) == ("size_bytes", f"test_{ERROR_KINDS[params.problem.kind]}")


def test_the_page_stands_alone(done: tuple[Params, Paths]) -> None:
    text = (done[1].reports / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "embed"} & {tag for tag, _ in page.tags}
    links = [v for _, attrs in page.tags for k, v in attrs.items() if k in ("href", "src", "xlink:href") and v]
    assert all(link.startswith(("#", "data:audio/flac;base64,")) for link in links)
    assert set(re.findall(r"https?://[^\s\"'<>]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "@import" not in text
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", text)


def test_every_id_is_there_and_there_once(done: tuple[Params, Paths]) -> None:
    text = (done[1].reports / "report.html").read_text(encoding="utf-8")
    ids = [attrs["id"] for _, attrs in Page(text).tags if attrs.get("id")]
    wanted = set(re.findall(r'(?:href="|url\()#([\w-]+)', text))
    assert wanted
    assert wanted <= set(ids)
    assert len(ids) == len(set(ids))


def test_the_page_tells_what_it_should(done: tuple[Params, Paths]) -> None:
    params, paths = done
    text = Page((paths.reports / "report.html").read_text(encoding="utf-8")).text
    table = pd.read_csv(paths.reports / "results.csv").set_index("model")
    error = f"test_{ERROR_KINDS[params.problem.kind]}"
    what = "WER" if params.problem.kind == "transcription" else "keyword error rate"
    assert f"distilled has a {what} of {100 * table.loc['distilled', error]:.1f} %" in text
    for name in table.index:
        assert f"{100 * table.loc[name, error]:.1f} %" in text
    for words in (
        "Error against size", "Error against latency", "Learning curves",
        "Verdicts", "Against the teacher", "Where the errors are", "By length", "Words most often lost", "By noise",
        "sliced 2 layers to 1 by l2", "too long", "torch 2.", "corpus.seed" if "seed" in str(params.corpus) else "seed",
    ):  # fmt: skip
        assert words in text
    assert text.count("ONNX file in MB") == 1


def test_what_student_and_teacher_hear_differently_can_be_listened_to(tmp_path: Path) -> None:
    params, paths = finished(tmp_path)
    file = paths.evaluation("teacher") / "utterances.parquet"
    table = pd.read_parquet(file)
    table.assign(hypothesis=table["reference"], errors=0).to_parquet(file)
    report.run(params, paths)
    text = (paths.reports / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "Where distilled and the teacher differ most" in page.text
    assert 1 <= [tag for tag, _ in page.tags].count("audio") <= 6
    assert len(text) < 3_000_000


def test_every_form_is_told_with_its_gate(done: tuple[Params, Paths]) -> None:
    text = Page((done[1].reports / "report.html").read_text(encoding="utf-8")).text
    for model in ("teacher", "baseline", "distilled"):
        rows = read_forms(done[1], model, json.loads((done[1].reports / "timings.json").read_text(encoding="utf-8")))
        assert [row.form for row in rows][:3] == ["float32", "float16", "int8_dynamic"]
        for row in rows:
            assert row.title in text
            assert f"{row.timing['startup_ms']:.0f}" in text
            assert f"{100 * row.errors['test_error']:.1f} %" in text
            assert ("✓ released" if row.gate["released"] else row.gate["reason"]) in text
    assert "in 32 bits: 2 Conv, 4 GRU" in text, "the teacher's two layers of two ways, and its stem"


def test_the_same_inputs_give_the_same_page(done: tuple[Params, Paths]) -> None:
    params, paths = done
    before = (paths.reports / "report.html").read_bytes()
    report.run(params, paths)
    assert (paths.reports / "report.html").read_bytes() == before


def test_a_teacher_that_had_not_converged_is_named_in_the_text_and_in_the_table(done: tuple[Params, Paths]) -> None:
    params, paths = done
    file = paths.model("teacher") / "config.json"
    before = file.read_text(encoding="utf-8")
    file.write_text(json.dumps({**json.loads(before), "facts": {"unfinished": "it fell & fell"}}), encoding="utf-8")
    report.run(params, paths)
    text = (paths.reports / "report.html").read_text(encoding="utf-8")
    assert text.count("The teacher had not converged: it fell &amp; fell.") == 1
    assert text.index("The teacher had not converged") < text.index("</header>")
    (row,) = re.findall(r"<tr[^>]*>(?:(?!</tr>).)*had not converged(?:(?!</tr>).)*</tr>", text, re.DOTALL)
    assert "teacher" in Page(row).text
    file.write_text(before, encoding="utf-8")
    report.run(params, paths)
    assert "had not converged" not in (paths.reports / "report.html").read_text(encoding="utf-8")


def test_transcripts_are_shown_as_text(tmp_path: Path) -> None:
    params, paths = finished(tmp_path)
    file = paths.evaluation("teacher") / "utterances.parquet"
    table = pd.read_parquet(file)
    table["hypothesis"] = "<script>alert(1)</script>"
    table.to_parquet(file)
    report.run(params, paths)
    assert "<script" not in (paths.reports / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("missing", "stage"),
    [("reports/timings.json", "profile"), ("evaluation/baseline/metrics.json", "evaluate")],
)
def test_what_is_missing_is_named_with_its_stage(tmp_path: Path, missing: str, stage: str) -> None:
    params, paths = finished(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(ValueError, match=rf"{missing} is missing: run the stage {stage}"):
        report.run(params, paths)


def test_a_model_that_was_not_timed_is_named(tmp_path: Path) -> None:
    params, paths = finished(tmp_path)
    file = paths.reports / "timings.json"
    timings = json.loads(file.read_text(encoding="utf-8"))
    del timings["models"]["distilled"]
    file.write_text(json.dumps(timings), encoding="utf-8")
    with pytest.raises(ValueError, match="but not distilled"):
        report.run(params, paths)


def test_every_model_has_a_card(done: tuple[Params, Paths]) -> None:
    params, paths = done
    assert sorted(file.name for file in paths.cards.iterdir()) == ["baseline.md", "distilled.md", "teacher.md"]
    card = (paths.cards / "distilled.md").read_text(encoding="utf-8")
    assert [line for line in card.splitlines() if line.startswith("#")] == [
        "# distilled", "## Files", "## Data", "## Verdicts", "## Limits", "## How to run it",
    ]  # fmt: skip
    table = pd.read_csv(paths.reports / "results.csv").set_index("model")
    error = f"test_{ERROR_KINDS[params.problem.kind]}"
    for words in (
        "sliced 2 layers to 1 by l2",
        f"{100 * table.loc['distilled', error]:.1f}\u202f%",
        "model.int8_dynamic.onnx",
        "not stated; ask whoever made the recordings, and set corpus.licence",
        "kaldi-native-fbank",
        *table.loc["distilled", "verdict"].split("; "),
    ):
        assert words in card
    for words in ("sherpa-onnx", "kd transcribe exports/distilled"):
        assert (words in card) == (params.problem.kind == "transcription")


def test_a_licence_that_was_given_is_told() -> None:
    corpus = {"kind": "manifest", "root": "corpora", "file": "m.csv", "licence": "CC0"}
    assert licence_of(make_params(corpus=corpus).corpus) == "CC0"
    assert licence_of(make_params(corpus={"kind": "fsdd", "root": "corpora"}).corpus).endswith("CC BY-SA 4.0")
