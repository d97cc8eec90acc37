"""What `kd` looks at before it does anything: parameters, inputs, and what can be claimed at all.

Heavy imports are inside the functions, so that help comes at once.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tasks.params.pipeline import Params


def checked_params(file: Path = Path("params.yaml")) -> "Params":
    """The parameters; where any is wrong, one line for each and exit code 2."""
    from tasks.params.load import load_params

    with one_line_each():
        return load_params(file)


@contextmanager
def one_line_each() -> Iterator[None]:
    """Wrong parameters, of a study or a search too, end in a line for each mistake and exit code 2."""
    from tasks.params.errors import ParamsError

    try:
        yield
    except ParamsError as error:
        for line in error.lines:
            typer.echo(line, err=True)
        raise typer.Exit(2) from None


def require_inputs(root: Path, params: "Params") -> None:
    """Exit code 1, with a line for each, where what the parameters name is not there."""
    from tasks.params.checks.inputs import missing_inputs

    if lines := missing_inputs(params, root):
        for line in lines:
            typer.echo(line, err=True)
        raise typer.Exit(1)


@contextmanager
def dvc_in_one_line(root: Path) -> Iterator[None]:
    """What DVC cannot read of the project under `root`, or Python of its code, ends in a few lines and exit code 2."""
    from dvc.exceptions import DvcException, NotDvcRepoError

    from flows.dvc_state.graph import DigestsError
    from tasks.params.errors import LINE_CHARACTERS, format_value

    try:
        yield
    except DigestsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except DvcException as error:
        line = str(error)
        if isinstance(error, NotDvcRepoError):
            line = (
                f"{root.resolve()} is no DVC repository: .dvc is missing, as where a copy left hidden files out. Copy "
                "it, too, or begin one: `dvc init`, without git `dvc init --no-scm`"
            )
        typer.echo(format_value(line, LINE_CHARACTERS, plain=True), err=True)
        raise typer.Exit(2) from None


def require_repository(root: Path) -> None:
    """Exit code 2, with one line, where `root` lies in no DVC repository."""
    from dvc.repo import Repo

    with dvc_in_one_line(root):
        Repo.find_root(str(root))


def refuse_unsaved_outputs(root: Path, stages: Collection[str]) -> None:
    """Exit code 2, with a line for each, where what no stage made stands in the place of these stages' outputs."""
    from flows.dvc_state.unsaved_outputs import unsaved_outputs

    if lines := unsaved_outputs(root, stages):
        for line in lines:
            typer.echo(line, err=True)
        raise typer.Exit(2)


def require_server() -> None:
    """Exit code 2, with one line, where PREFECT_API_URL names a server that does not answer."""
    from flows.server import unreachable

    if address := unreachable():
        typer.echo(
            f"PREFECT_API_URL: no Prefect server answers at {address}: start it, or unset the variable "
            "(`unset PREFECT_API_URL`), and one is started here",
            err=True,
        )
        raise typer.Exit(2)


def say_what_cannot_be_claimed(root: Path, params: "Params") -> None:
    """By the test part as it is prepared now; nothing where none is."""
    from tasks.evaluation.power import impossible
    from tasks.runner.paths import Paths

    for line in impossible(params, Paths(root).prepared):
        typer.echo(f"Before anything is trained: {line}", err=True)
