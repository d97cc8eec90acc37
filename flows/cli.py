"""`kd`: what people do by hand. Heavy imports are inside the commands, so that help comes at once."""

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.checks import (
    checked_params,
    dvc_in_one_line,
    refuse_unsaved_outputs,
    require_inputs,
    require_repository,
    require_server,
    say_what_cannot_be_claimed,
)
from flows.experiments import import_corpus, study, transcribe_testset, tune
from flows.options import STAGE_TIMEOUT_HOURS, Jobs, Port, Retries, Timeout

if TYPE_CHECKING:
    from tasks.params.pipeline import Params

HOST, PORT = "127.0.0.1", 5000

app = typer.Typer(
    help="Turn a big speech recogniser into the smallest one that is good enough.\n\n"
    "Everything the pipeline does is set in params.yaml. `kd run` does it; a second `kd run` does only what changed.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)


@app.command()
def run(
    jobs: Jobs = 2,
    retries: Retries = 1,
    timeout_hours: Timeout = STAGE_TIMEOUT_HOURS,
    force: Annotated[bool, typer.Option("--force", help="Run every stage, up to date or not.")] = False,
) -> None:
    """Bring everything up to date: corpus, teacher, students, exports, evaluation, report.

    What did not change is not run again; a parameter set back is restored from DVC's cache. Stop it
    with Ctrl-C at any time: the next run goes on where this one was.
    """
    params = checked_params()
    from flows.dvc_state.graph import look
    from flows.dvc_state.leftovers import leftovers

    root = Path()
    say_what_cannot_be_claimed(root, params)
    require_inputs(root, params)
    with dvc_in_one_line(root):
        state = look(root)
    if not force and not state.stale and not leftovers(root, state.graph)[0]:
        typer.echo("Everything is up to date.")
        _complete(root, params)
    else:
        refuse_unsaved_outputs(root, state.graph.nodes if force else state.stale)
        _run_flow(root, jobs, retries, timeout_hours * 3600, force)
    from flows.table import show_results

    show_results(root, params.name, f"http://{HOST}:{PORT}")


@app.command()
def schedule(
    cron: Annotated[str, typer.Option(help="When, such as '0 3 * * *' for every night at three.")],
    jobs: Jobs = 2,
    retries: Retries = 1,
) -> None:
    """Stay here and run the pipeline by the clock. Runs change dvc.lock and metrics: use a clone of its own.

    One run at a time; a run that is due while another goes on waits for it.
    """
    checked_params()
    from flows.environment import prepare_environment

    require_server()
    require_repository(Path())
    prepare_environment(quiet=False)
    from flows.server import scheduling_server

    with scheduling_server() as address:
        typer.echo(f"Prefect: {address.removesuffix('/api')}")
        from flows.schedule import serve

        serve(Path(), cron=cron, jobs=jobs, retries=retries)


@app.command()
def ui(port: Port = PORT) -> None:
    """Show all runs in MLflow's UI, on this machine only; the link opens the comparison of the newest models."""
    params = checked_params()
    from tasks.runner.telemetry import stay_offline

    stay_offline()
    from tasks.tracking.pipeline_run import comparison_link
    from tasks.tracking.runs import tracking_uri

    address = f"http://{HOST}:{port}"
    typer.echo(f"Comparison of the models: {comparison_link(Path(), params.name, address) or address}")
    sys.stdout.flush()
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # a quarter of the time and memory
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    os.execv(sys.executable, [*command, "--backend-store-uri", tracking_uri(Path())])


@app.command()
def check(
    file: Annotated[Path, typer.Option("--params", help="The file to check.")] = Path("params.yaml"),
) -> None:
    """Check the parameters, and do nothing else. One line for each mistake; exit code 2 if there is any.

    Exit code 1 where they are right, and a file or folder that they name is not there.
    """
    params = checked_params(file)
    from tasks.params.errors import LINE_CHARACTERS, format_value

    found = f"{params.problem.kind}, {len(params.students)} students ({', '.join(params.students)})"
    typer.echo(format_value(f"{file} is valid: {found}", LINE_CHARACTERS, plain=True))
    say_what_cannot_be_claimed(Path(), params)
    require_inputs(Path(), params)


@app.command()
def schema(
    out: Annotated[str, typer.Option(help="The file to write; - for standard output.")] = "params.schema.json",
) -> None:
    """Write the JSON schema of params.yaml, by which an editor completes keys and underlines a typo.

    Exit code 2 where the file cannot be written.
    """
    from tasks.params.json_schema import schema_text

    if out == "-":
        typer.echo(schema_text(), nl=False)
        return
    from tasks.runner.atomic_io import write_whole

    try:
        write_whole(Path(out), schema_text())
    except OSError as error:
        typer.echo(f"--out: {out} cannot be written: {error.strerror}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{out} is written; params.yaml names it in its first line: # yaml-language-server: $schema={out}")


@app.command()
def results() -> None:
    """Print the table of models of the last run (reports/results.csv)."""
    from flows.table import show_table

    if not show_table(Path()):
        typer.echo("There is no reports/results.csv yet. `kd run` makes it.", err=True)
        raise typer.Exit(1)


app.command("import")(import_corpus)
app.command()(study)
app.command()(tune)
app.command("transcribe-testset")(transcribe_testset)


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def transcribe(context: typer.Context) -> None:
    """Turn audio into text by an exported model: `kd transcribe exports/teacher my.wav`; --help for all options."""
    _runtime("transcribe", context.args)


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def spot(context: typer.Context) -> None:
    """Find phrases in audio: `kd spot exports/teacher --keywords phrases.txt my.wav`; --help for all options."""
    _runtime("spot", context.args)


def _renamed(old: str, new: str) -> None:
    """A command by its old name: one line says the new one, and exit code 2."""

    @app.command(old, hidden=True, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
    def command() -> None:
        typer.echo(f"kd {old} is renamed to `kd {new}`", err=True)
        raise typer.Exit(2)


for before, now in {"search": "tune", "table": "results", "listen": "transcribe-testset"}.items():
    _renamed(before, now)


def _runtime(command: str, arguments: list[str]) -> None:
    """Hand over to the runtime, which has its own command line, so that it runs where typer is not."""
    from kd.runtime.program import main as run_command

    raise typer.Exit(run_command([command, *arguments], program="kd"))


def main() -> None:
    """The `kd` program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # no terminal, and no name of a file, is too odd to be printed to
            stream.reconfigure(errors="backslashreplace")
    app()


def _run_flow(root: Path, jobs: int, retries: int, timeout_s: float, force: bool) -> None:
    """Run the flow; exit code 1 where a stage fails, 130 on Ctrl-C."""
    from flows.environment import prepare_environment

    require_server()
    prepare_environment()
    typer.echo("Starting Prefect …")
    from flows.pipeline import PipelineError, pipeline

    try:
        pipeline(root=str(root), jobs=jobs, retries=retries, timeout_s=timeout_s, force=force)
    except PipelineError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("Stopped. The next run goes on from here.", err=True)
        raise typer.Exit(130) from None


def _complete(root: Path, params: "Params") -> None:
    """What a run that was killed at its very end left undone; a run that is still under way does it itself."""
    from filelock import FileLock, Timeout

    from flows.run.recording import complete
    from tasks.runner.paths import Paths

    try:
        with FileLock(Paths(root).scratch / "run.lock", timeout=0):
            complete(root, params, typer.echo)
    except Timeout:
        return


if __name__ == "__main__":
    main()
