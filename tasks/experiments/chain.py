"""The chain of stages in one process and a folder of its own, as a cell of a study or a trial of a search needs it.

Which stages there are, and what runs before what, is read from dvc.yaml. What was done is not done again.
"""

from collections.abc import Callable, Collection, Iterator
from importlib import import_module
from pathlib import Path

from tasks.params.pipeline import Params
from tasks.runner.digests import ROOT
from tasks.runner.dvc_graph import StageSpec, specs
from tasks.runner.harness import STAGES, stage_module
from tasks.runner.paths import Paths
from tasks.runner.reporter import Reporter

ReporterFor = Callable[[str], Reporter]
"""The reporter of a stage, by the stage's label."""


class Chain:
    """The stages of these parameters, which read and write under `folder`.

    given: labels of stages whose outputs are there already. A stage that ended leaves a mark in scratch/done/.
    """

    def __init__(
        self, params: Params, folder: Path, project: Path, reporter: ReporterFor, given: Collection[str] = ()
    ) -> None:
        file = project / "dvc.yaml"
        found = specs(file if file.is_file() else ROOT / "dvc.yaml", params.model_dump(mode="json"))
        self._specs = {spec.label: spec for spec in found if spec.command in STAGES}
        self._params, self._paths, self._reporter, self._given = params, Paths(folder), reporter, set(given)

    def make(self, label: str, reporter: Reporter | None = None) -> None:
        """Run what is missing of a stage and of all that it depends on; `reporter` is for the stage itself."""
        self.make_before(label)
        self._run(self._specs[label], reporter)

    def make_before(self, label: str) -> None:
        """Run what is missing of all that a stage depends on."""
        for before in self._before(label, set()):
            self._run(before, None)

    def _before(self, label: str, seen: set[str]) -> Iterator[StageSpec]:
        """Each after what it depends on."""
        for other in self._specs.values():
            if self._specs[label].reads_from(other) and other.label not in seen | self._given:
                seen.add(other.label)
                yield from self._before(other.label, seen)
                yield other

    def _run(self, spec: StageSpec, reporter: Reporter | None) -> None:
        mark = self._paths.scratch / "done" / spec.label
        if mark.is_file():
            return
        module = import_module(stage_module(self._params, spec.command, spec.name))
        module.run(self._params, self._paths, spec.name, reporter or self._reporter(spec.label))
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
