"""README.md and docs/guide.md: their settings are valid, links lead somewhere, commands exist; paths elsewhere, too."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from flows.cli import app
from tasks.params.load import load_params

REPO = Path(__file__).parents[2]
PAGES = ("README.md", "docs/guide.md", "docs/whisper.md", "docs/wav2vec2.md", "docs/architecture.md", "CONTRIBUTING.md")
NOT_OF_THE_DEFAULT_CORPUS = ("phrases", "utterances", "speakers", "seed")


def text_of(page: str) -> str:
    return (REPO / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", text_of(page), re.S)


def merged(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Settings with those changes, key by key, as a user would write them into the file."""
    both = dict(settings)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(both.get(key), dict)
        both[key] = merged(both[key], value) if nested else value
    return both


@pytest.mark.parametrize("block", [block for page in PAGES for block in blocks(page)])
def test_settings_are_valid_in_the_default_file(tmp_path, block):
    settings, changes = yaml.safe_load(text_of("params.yaml")), yaml.safe_load(block)
    if changes.get("corpus", {}).get("kind", "synthetic") != "synthetic":
        settings["corpus"] = {key: v for key, v in settings["corpus"].items() if key not in NOT_OF_THE_DEFAULT_CORPUS}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(merged(settings, changes), sort_keys=False))
    assert load_params(tmp_path / "params.yaml").students


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)]+)\)", text_of(page)):
        file, _, anchor = link.partition("#")
        target = (REPO / page).parent / file if file else REPO / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


NAMING_PATHS = [
    "CHANGELOG.md",
    *(str(f.relative_to(REPO)) for d in ("presets", "studies") for f in (REPO / d).rglob("*.yaml")),
]
PATH = re.compile(r"(?<![\w/.])(?:docs|studies|presets|tasks|kd|flows|benchmarks)/[\w./-]*\w")


@pytest.mark.parametrize("page", NAMING_PATHS)
def test_paths_that_are_named_are_there(page):
    """Whole, or as the beginning of one, such as docs/adr/0015."""
    for path in PATH.findall(text_of(page)):
        assert (REPO / path).exists() or list(REPO.glob(f"{path}*")), path


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist(page):
    code = " ".join(re.findall(r"`[^`\n]+`|^    .*$", text_of(page), re.M))
    named = set(re.findall(r"(?<!/)\bkd ([a-z][a-z-]*)", code))
    assert named
    assert named <= set(typer.main.get_command(app).commands)


GENERATED = {REPO / "docs" / "params.md", REPO / "docs" / "experiments.md"}
PROSE = sorted({*REPO.glob("*.md"), *REPO.glob("docs/**/*.md"), *REPO.glob("external/*.md")} - GENERATED)
PRESETS = sorted((REPO / "presets").glob("*.yaml"))
COLUMNS = 120


@pytest.mark.parametrize("page", [str(file.relative_to(REPO)) for file in PROSE])
def test_lines_of_prose_are_no_longer_than_those_of_code(page):
    """But for tables, what they are written from, and blocks of code."""
    apart = re.compile(r"^```.*?^```|<!--.*?-->", re.M | re.S)
    text = apart.sub(lambda block: "\n" * block[0].count("\n"), text_of(page))
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if not line.startswith(("|", "    "))]
    assert [n for n, line in lines if len(line) > COLUMNS and " " in line.strip()] == []


@pytest.mark.parametrize("file", [REPO / "params.yaml", *PRESETS], ids=lambda file: file.stem)
def test_lines_of_parameters_are_no_longer_than_those_of_code(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    assert [n for n, line in enumerate(lines, 1) if len(line) > COLUMNS] == []


@pytest.mark.parametrize("preset", PRESETS, ids=lambda file: file.stem)
def test_a_preset_is_copied_as_the_guide_says(preset):
    head, _, _ = preset.read_text(encoding="utf-8").partition("\nname: ")
    (link,) = re.findall(r"docs/guide\.md#([\w-]+) says how to copy it", head)
    section = text_of("docs/guide.md").lower().split(f"## {link.replace('-', ' ')}\n")[1].split("\n## ")[0]
    assert "    sed '1s#" in section
    assert not re.search(r"\bcp ", head)


def test_the_readme_is_short():
    assert len(text_of("README.md").splitlines()) <= 150


SET_FOR_STAGES = {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
BETWEEN_OURSELVES = {"RANK", "PATH", "DVC_ROOT", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"}
"""What torchrun, the shell and DVC set, and we for MLflow's server: nobody sets them for us."""


def test_the_guide_has_every_environment_variable_that_is_read() -> None:
    read = re.compile(r"environ(?:\.\w+\(|\[)\"([A-Z][A-Z_]+)\"|\"((?:MLFLOW|PREFECT|HF|DVC|DO)_[A-Z_]+)\": \"")
    code = "".join(f.read_text("utf-8") for room in ("kd", "tasks", "flows") for f in (REPO / room).rglob("*.py"))
    used = {one or other for one, other in read.findall(code)} | set(re.findall(r"\$(KD_\w+)", text_of("prefect.yaml")))
    section = text_of("docs/guide.md").split("## Environment variables\n")[1].split("\n## ")[0]
    names = (re.findall(r"`([A-Z_]+)`", row.split("|")[1]) for row in section.splitlines() if row.startswith("| `"))
    assert {name for row in names for name in row} == used - BETWEEN_OURSELVES
    assert all(f"`{name}`" in section for name in SET_FOR_STAGES)
