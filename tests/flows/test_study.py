"""The cells of a study: what is written when, and what becomes of the others where one cannot be written."""

from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest

from flows import study


class Design:
    """A study of named cells, with stand-ins for what runs one and for what writes the table."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        self.cells = [SimpleNamespace(fold=name, seed=1, root=Path(name)) for name in names]
        self.begun: list[str] = []
        self.written: list[set[str]] = []
        self.done: set[str] = set()
        monkeypatch.setattr(study, "load_study", lambda file: SimpleNamespace(name="toy"))
        monkeypatch.setattr(study, "cells", lambda design, project: self.cells)
        monkeypatch.setattr(study, "missing_cells", lambda design, project: self.cells)
        monkeypatch.setattr(study, "_run_cell", self.run)
        monkeypatch.setattr(study, "write_results", self.write)

    def run(self, file: Path, cell: SimpleNamespace, project: Path) -> int:
        self.begun.append(cell.fold)
        self.done.add(cell.fold)
        return 0

    def write(self, design: SimpleNamespace, project: Path) -> None:
        self.written.append(set(self.done))


def test_results_are_written_as_cells_end_and_do_not_wait_for_a_slow_one(monkeypatch, tmp_path, capsys):
    quick_ones_are_written = Event()

    class OneIsSlow(Design):
        def run(self, file, cell, project):
            if cell.fold == "slow":
                assert quick_ones_are_written.wait(60), "the others' results wait for the slow cell"
            return super().run(file, cell, project) + (cell.fold == "failing")

        def write(self, design, project):
            super().write(design, project)
            if len(self.written) == 2:
                quick_ones_are_written.set()

    design = OneIsSlow(monkeypatch, "slow", "quick", "failing")
    assert study.run_study(Path("toy.yaml"), tmp_path, jobs=2, first_cell=False) == 1
    assert "slow" not in design.written[1]
    assert design.written[2] == {"slow", "quick", "failing"}
    first, *cells = capsys.readouterr().out.splitlines()
    assert first == "toy: 3 cells, 3 to do"
    assert sorted(line.split(": see")[0] for line in cells) == [
        "toy: failing, seed 1: failed with exit code 1",
        "toy: quick, seed 1: done",
        "toy: slow, seed 1: done",
    ]


def test_when_it_is_stopped_no_other_cell_begins(monkeypatch, tmp_path):
    class Stopped(Design):
        def write(self, design, project):
            raise KeyboardInterrupt

    design = Stopped(monkeypatch, *"abcdefgh")
    held = Event()

    def run(file, cell, project):
        design.begun.append(cell.fold)
        if cell.fold != "a":
            held.wait(60)
        return 0

    shutdown = study.ThreadPoolExecutor.shutdown

    def then_let_go(pool, wait=True, *, cancel_futures=False):
        shutdown(pool, wait=False, cancel_futures=cancel_futures)
        held.set()
        shutdown(pool, wait=wait)

    monkeypatch.setattr(study, "_run_cell", run)
    monkeypatch.setattr(study.ThreadPoolExecutor, "shutdown", then_let_go)
    with pytest.raises(KeyboardInterrupt):
        study.run_study(Path("toy.yaml"), tmp_path, jobs=1, first_cell=False)
    assert len(design.begun) <= 2


def test_the_first_cell_alone(monkeypatch, tmp_path):
    design = Design(monkeypatch, "a", "b")
    assert study.run_study(Path("toy.yaml"), tmp_path, jobs=2, first_cell=True) == 0
    assert design.begun == ["a"]
