"""`kd import`, `kd study`, `kd tune` and `kd transcribe-testset`: what stands beside a run.

Heavy imports are inside the functions, so that help comes at once.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.checks import checked_params, one_line_each
from flows.options import MOST, MOST_UTTERANCES, Trials


def study(
    file: Annotated[Path, typer.Argument(help="The design, such as studies/fsdd-keyword.yaml.")],
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=MOST, help="Cells at a time, one thread each.")] = 2,
    first_cell: Annotated[bool, typer.Option("--first-cell", help="Only the first fold with the first seed.")] = False,
    background: Annotated[bool, typer.Option("--detach", help="Go on after this terminal is closed.")] = False,
    table_only: Annotated[bool, typer.Option("--table", help="Only print the table of what is done.")] = False,
    against: Annotated[str | None, typer.Option(help="With --table: subtract this model's errors.")] = None,
) -> None:
    """Run a study: every fold with every seed. Stop it at any time; the next call does only what is missing.

    Results are written to docs/results/ whenever a cell ends.
    """
    from flows.study import detach, run_study, summary

    with one_line_each():
        if table_only:
            typer.echo(summary(file, Path(), against=against))
        elif background:
            typer.echo(f"Running in the background. Log: {detach(file, Path(), jobs=jobs, first_cell=first_cell)}")
        elif run_study(file, Path(), jobs=jobs, first_cell=first_cell):
            raise typer.Exit(1)


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


def transcribe_testset(
    model: Annotated[str, typer.Argument(help="Folder of a Whisper in CTranslate2's form, or its name on the hub.")],
    out: Annotated[Path, typer.Option(help="The table to write, in the folder external.")] = Path(
        "external/whisper.csv"
    ),
    prompt: Annotated[str | None, typer.Option(help="Words of the kind that occur in the audio.")] = None,
    language: Annotated[str, typer.Option(help="What is spoken.")] = "en",
) -> None:
    """Transcribe the test part with Whisper, to be judged beside our models: name the table in evaluation.external."""
    checked_params()
    from tasks.params.teachers import WhisperTeacher
    from tasks.params.trained import NOTHING

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


def import_corpus(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Tables, folders or addresses (s3://…), each PATH or PART=PATH (train, valid, test, all); or hf:NAME.",
            show_default=False,
        ),
    ],
    write: Annotated[bool, typer.Option("--write", help="Put the section corpus into the file of parameters.")] = False,
    kind: Annotated[str | None, typer.Option(help="What it is, where that is not seen, such as nemo.")] = None,
    root: Annotated[str | None, typer.Option(help="Folder that paths of audio are relative to.")] = None,
    decode: Annotated[
        int, typer.Option(min=0, max=MOST_UTTERANCES, help="Utterances of each part whose audio is decoded; 0: all.")
    ] = 500,
    file: Annotated[Path, typer.Option("--params", help="The file of parameters.")] = Path("params.yaml"),
) -> None:
    """Look at a corpus of another tool: first utterances, hours, speakers, and what would be put aside and why.

    NeMo, Kaldi, Common Voice, Hugging Face (Parquet), lhotse, WebDataset, or a table of your own. Nothing is
    written without --write. Exit code 1 where nothing in it can be used, 2 where it is not understood.
    """
    checked_params(file)
    order = {"sources": sources, "kind": kind, "root": root, "decode": decode, "write": write, "params": str(file)}
    command = [sys.executable, "-m", "tasks.data.importing", json.dumps(order)]
    if code := subprocess.run(command, check=False).returncode:
        raise typer.Exit(code)
