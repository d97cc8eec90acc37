"""presets/: complete parameters, each of whose models can be built and is as large as its comment says."""

import re
import subprocess
from pathlib import Path

import pytest

from kd.config.models import EncoderSettings, ModelSettings
from kd.config.propagation import Magnitude
from kd.models import Recogniser, build
from kd.propagation import Propagated, propagate
from tasks.params.load import load_params
from tasks.params.pipeline import Params, TrainedTeacher

REPO = Path(__file__).parents[2]
OUTPUTS = {
    "keyword_classical": 10,
    "keyword_cnn": 35,
    "connected_digits": 17,
    "assistant": 29,
    "conformer": 29,
    "an4": 29,
}
"""Digits, words of Speech Commands, letters of the digits, or all, with space and blank."""

LARGEST_SHARES = {"an4": 1 / 2}
"""Students are less than a tenth of their teacher, but where a megabyte, not a share, is what they are made for."""


def sizes_stated(file: Path) -> dict[str, int]:
    """Parameters by model, from comments such as `baseline:    # 1,234 parameters`."""
    found = re.findall(r"^ *(\w+): +# ([\d,]+) parameters$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: int(size.replace(",", "")) for name, size in found}


def models(params: Params, num_outputs: int) -> dict[str, Recogniser]:
    """The teacher and every student as it begins, with random weights."""

    def fresh(encoder: EncoderSettings) -> Recogniser:
        num_features = params.frontend.num_mels
        return build(
            ModelSettings(
                problem=params.problem.kind, num_features=num_features, num_outputs=num_outputs, encoder=encoder
            )
        )

    assert isinstance(params.teacher, TrainedTeacher)
    teacher = fresh(params.teacher.model)
    found = {"teacher": teacher}
    for name, recipe in params.students.items():
        whole = Propagated(teacher if recipe.model is None else fresh(recipe.model))
        sized = [o.model_copy(update={"importance": Magnitude(by="l2")}) for o in recipe.operators]  # needs no audio
        found[name] = propagate(whole, sized).model
    return found


def test_every_preset_is_tested() -> None:
    """Those of a pre-trained teacher, whose sizes its weights decide, in tests/tasks/stages/."""
    assert {file.stem for file in (REPO / "presets").glob("*.yaml")} == OUTPUTS.keys() | {"whisper", "dphubert"}


@pytest.mark.parametrize("preset", OUTPUTS)
def test_a_preset_is_valid_and_its_models_are_as_large_as_it_says(preset: str) -> None:
    file = REPO / "presets" / f"{preset}.yaml"
    built = models(load_params(file), OUTPUTS[preset])
    sizes = {name: sum(p.numel() for p in model.parameters()) for name, model in built.items()}
    assert sizes_stated(file) == sizes
    small = {sizes[name] for name in sizes if name not in ("teacher", "middle")}
    assert small == {sizes["baseline"]}
    assert sizes["baseline"] < sizes["teacher"] * LARGEST_SHARES.get(preset, 0.1)
    assert sizes["baseline"] < sizes.get("middle", sizes["teacher"]) <= sizes["teacher"]


def test_the_chain_of_sizes_has_its_controls() -> None:
    """The small student is taught by the assistant, by the teacher directly, and by nobody."""
    params = load_params(REPO / "presets" / "assistant.yaml")
    assert {name: recipe.teacher for name, recipe in params.students.items()} == {
        "middle": "teacher",
        "baseline": "none",
        "distilled": "teacher",
        "assisted": "assistant",
    }
    assert params.teachers["assistant"].path == Path("models/middle")
    assert len({recipe.model for name, recipe in params.students.items() if name != "middle"}) == 1
    assert params.students["distilled"].objective == params.students["assisted"].objective


def test_the_classical_keyword_network() -> None:
    """Its layers by hand: 1 -> 32 -> 64 channels, 64 * 16 * 8 -> 512 -> 10."""
    params = load_params(REPO / "presets" / "keyword_classical.yaml")
    teacher = models(params, 10)["teacher"]
    shapes = [tuple(p.shape) for p in teacher.parameters() if p.ndim > 1]
    assert shapes == [(32, 1, 3, 3), (64, 32, 3, 3), (512, 64 * 16 * 8), (10, 512)]
    assert (params.frontend.num_mels, teacher.settings.encoder.frames) == (32, 64)


@pytest.mark.parametrize("preset", OUTPUTS)
def test_a_copy_names_the_schema_where_it_lies(preset: str, tmp_path: Path) -> None:
    """By the command of the guide: the preset itself, but for the schema's place, which an editor looks up."""
    (command,) = re.findall(r"^    (sed .* > params\.yaml)$", (REPO / "docs" / "guide.md").read_text("utf-8"), re.M)
    (tmp_path / "presets").symlink_to(REPO / "presets")
    subprocess.run(command.replace("an4", preset), shell=True, cwd=tmp_path, check=True)
    copied, preset_itself, default = (
        file.read_text("utf-8").splitlines()
        for file in (tmp_path / "params.yaml", REPO / "presets" / f"{preset}.yaml", REPO / "params.yaml")
    )
    assert copied[0] == default[0]
    assert copied[1:] == preset_itself[1:]
