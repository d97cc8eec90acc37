"""`kd`: what people do by hand. Heavy imports are inside the commands, so that help comes at once."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.checks import (
    checked_params,
    dvc_in_one_line,
    one_line_each,
    refuse_strangers,
    require_inputs,
    require_repository,
    require_server,
    say_what_cannot_be_claimed,
)
from flows.options import MOST, Jobs, Port, Retries, Timeout, Trials

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
    timeout_hours: Timeout = 6.0,
    force: Annotated[bool, typer.Option("--force", help="Run every stage, up to date or not.")] = False,
) -> None:
    """Bring everything up to date: corpus, teacher, students, exports, evaluation, report.

    What did not change is not run again; a parameter set back is restored from DVC's cache. Stop it
    with Ctrl-C at any time: the next run goes on where this one was.
    """
    params = checked_params()
    from flows.graph import look

    root = Path()
    say_what_cannot_be_claimed(root, params)
    require_inputs(root, params)
    with dvc_in_one_line(root):
        state = look(root)
    if not force and not state.stale:
        typer.echo("Everything is up to date.")
        _complete(root, params)
    else:
        refuse_strangers(root, state.graph.nodes if force else state.stale)
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
    from tasks.params.errors import LINE_CHARACTERS, shown

    found = f"{params.problem.kind}, {len(params.students)} students ({', '.join(params.students)})"
    typer.echo(shown(f"{file} is valid: {found}", LINE_CHARACTERS, plain=True))
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


@app.command()
def study(
    file: Annotated[Path, typer.Argument(help="The design, such as studies/fsdd-keyword.yaml.")],
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=MOST, help="Cells at a time, one thread each.")] = 2,
    first_cell: Annotated[bool, typer.Option("--first-cell", help="Only the first fold with the first seed.")] = False,
    background: Annotated[bool, typer.Option("--detach", help="Go on after this terminal is closed.")] = False,
    table_only: Annotated[bool, typer.Option("--table", help="Only print the table of what is done.")] = False,
    against: Annotated[str | None, typer.Option(help="With --table: subtract this model's errors.")] = None,
) -> None:
    """Run a study: every fold with every seed. Stop it at any time; the next call does only what is missing.

    Results are written to docs/results/ after each cell.
    """
    from flows.study import detach, run_study, summary

    with one_line_each():
        if table_only:
            typer.echo(summary(file, Path(), against=against))
        elif background:
            typer.echo(f"Running in the background. Log: {detach(file, Path(), jobs=jobs, first_cell=first_cell)}")
        elif run_study(file, Path(), jobs=jobs, first_cell=first_cell):
            raise typer.Exit(1)


@app.command()
def tune(
    file: Annotated[Path, typer.Argument(help="What may vary, such as searches/embedded-tenth.yaml.")],
    trials: Trials = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=MOST, help="Trials at a time, one thread each.")] = 1,
    background: Annotated[bool, typer.Option("--detach", help="Go on after this terminal is closed.")] = False,
) -> None:
    """Search operators, amounts and training for a student, on the validation part alone; the test part is not used.

    Stop it at any time; the next call goes on. Its front is drawn as it grows, and the winner's recipe printed.
    """
    from flows.tune import detach, tune_and_tell

    with one_line_each():
        try:
            if background:
                typer.echo(f"Running in the background. Log: {detach(file, Path(), trials=trials, jobs=jobs)}")
            else:
                typer.echo(tune_and_tell(file, Path(), trials=trials, jobs=jobs))
        except RuntimeError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.echo("Stopped. The next call goes on from here.", err=True)
            raise typer.Exit(130) from None


@app.command("transcribe-testset")
def transcribe_testset(
    model: Annotated[str, typer.Argument(help="Folder of a Whisper in CTranslate2's form, or its name on the hub.")],
    out: Annotated[Path, typer.Option(help="The table to write, in the folder others.")] = Path("others/whisper.csv"),
    prompt: Annotated[str | None, typer.Option(help="Words of the kind that occur in the audio.")] = None,
    language: Annotated[str, typer.Option(help="What is spoken.")] = "en",
) -> None:
    """Transcribe the test part with Whisper, to be judged beside our models: name the table in evaluation.external."""
    checked_params()
    from tasks.params.teachers import NOTHING, WhisperTeacher

    try:
        folder = Path(model).is_dir()
    except OSError as error:
        typer.echo(f"MODEL: {error.strerror}: name a folder, or a model of the hub", err=True)
        raise typer.Exit(2) from None
    settings = WhisperTeacher(
        source="whisper",
        path=Path(model).resolve() if folder else Path(NOTHING),
        hub=None if folder else model,
        initial_prompt=prompt,
        language=language,
        min_seconds=0.0,
    )
    command = [sys.executable, "-m", "tasks.teachers.external_hypotheses", str(out), settings.model_dump_json()]
    if code := subprocess.run(command, check=False).returncode:
        raise typer.Exit(code)


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

    from flows.recording import complete
    from tasks.runner.paths import Paths

    try:
        with FileLock(Paths(root).scratch / "run.lock", timeout=0):
            complete(root, params, typer.echo)
    except Timeout:
        return


if __name__ == "__main__":
    main()
