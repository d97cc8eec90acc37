"""Where every file between stages lies, relative to one root."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The layout of one run; see docs/architecture.md for what each folder holds."""

    root: Path = Path()

    @property
    def params(self) -> Path:
        return self.root / "params.yaml"

    @property
    def raw(self) -> Path:
        return self.root / "data" / "raw"

    @property
    def prepared(self) -> Path:
        return self.root / "data" / "prepared"

    def canary(self, name: str) -> Path:
        return self.root / "canary" / name

    @property
    def fetched(self) -> Path:
        """Copies of recordings at addresses, while a stage prepares them."""
        return self.scratch / "fetched"

    def model(self, name: str) -> Path:
        return self.root / "models" / name

    def initial(self, name: str) -> Path:
        return self.root / "models" / "initial" / name

    def outputs(self, name: str) -> Path:
        return self.root / "outputs" / name

    def export(self, name: str) -> Path:
        return self.root / "exports" / name

    def evaluation(self, name: str) -> Path:
        return self.root / "evaluation" / name

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def cards(self) -> Path:
        return self.reports / "cards"

    @property
    def features(self) -> Path:
        """Of perturbed copies of the training part, which trainings share: nothing that a stage depends on."""
        return self.scratch / "features"

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"
