"""A project in a folder of its own: recordings made up on the spot, a manifest of them, and the two stages."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml

from tasks.params.load import parse_params
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.stages import corpus, preprocess

REPO = Path(__file__).parents[2]


@dataclass
class Project:
    root: Path
    said: list[str] = field(default_factory=list)
    scratch: Path | None = None

    @property
    def paths(self) -> Paths:
        return Paths(self.root)

    @property
    def recordings(self) -> Path:
        return self.root / "corpus"

    def record(self, name: str, seconds: float = 1.0, rate_hz: int = 16_000, level: float = 0.1) -> str:
        """A burst of noise, other for each name; returns its path in the manifest."""
        rng = np.random.default_rng(list(name.encode()))
        return self.write(name, rng.uniform(-level, level, int(seconds * rate_hz)), rate_hz)

    def write(self, name: str, samples: np.ndarray, rate_hz: int = 16_000, **options: Any) -> str:
        file = self.recordings / name
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, samples, rate_hz, **options)
        return name

    def manifest(self, rows: list[dict[str, Any]]) -> None:
        self.recordings.mkdir(parents=True, exist_ok=True)
        (self.recordings / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    def params(self, **sections: Any) -> Params:
        """The project's own params.yaml with a manifest, one worker, and these sections changed."""
        data = yaml.safe_load((REPO / "params.yaml").read_text())
        data["corpus"] = {"kind": "manifest", "root": "corpus", "file": "manifest.jsonl"}
        data["preprocess"] |= {"workers": 1}
        for name, section in sections.items():
            data[name] = data[name] | section if name == "preprocess" else section
        return parse_params(data)

    def prepare(self, **sections: Any) -> dict[str, float]:
        """Run the stages corpus and preprocess."""
        params = self.params(**sections)
        corpus.run(params, self.paths, reporter=self)
        return preprocess.run(params, self.paths, reporter=self)

    def table(self) -> pd.DataFrame:
        return pd.read_parquet(self.paths.prepared / "utterances.parquet")

    def raw(self) -> pd.DataFrame:
        return pd.read_parquet(self.paths.raw / "utterances.parquet")

    def quarantine(self) -> dict[str, str]:
        table = pd.read_csv(self.paths.prepared / "quarantine.csv", dtype=str)
        return dict(zip(table["id"], table["reason"], strict=True))

    def samples(self, name: str) -> np.ndarray:
        row = self.table().set_index("id").loc[name]
        audio = np.fromfile(self.paths.prepared / "audio.i16", "<i2")
        return audio[row["offset"] : row["offset"] + row["num_samples"]]

    def bytes_of(self, folder: Path) -> dict[str, bytes]:
        return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}

    # a Reporter
    def metrics(self, values: Any, step: int) -> None:
        pass

    def progress(self, items: Any, total: int | None = None, label: str = "") -> Any:
        yield from items

    def say(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def other_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture
def shared_data() -> Path:
    """Real recordings beside the repository; tests on them skip where they are missing."""
    folder = REPO.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real recordings at {folder}")
    return folder
