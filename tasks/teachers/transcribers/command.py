"""Anybody's recogniser as a program: it reads a list of WAV files and writes a table of transcripts."""

import csv
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import soundfile

from tasks.params.teachers import CommandTeacher
from tasks.runner.reporter import Reporter
from tasks.teachers.transcribers.table import transcriptions
from tasks.teachers.transcribers.transcriber import Clip, TranscriberOutput

TOLD_LINES = 20


class Command:
    """Runs in the project's folder. The list is a CSV of id and path, the table is one that `source: table` reads."""

    identity = None

    def __init__(self, settings: CommandTeacher, root: Path) -> None:
        self.settings = settings
        self.root = root

    def transcribe(self, clips: Sequence[Clip], reporter: Reporter) -> Iterator[tuple[str, TranscriberOutput]]:
        with tempfile.TemporaryDirectory(prefix="transcribe-") as folder:
            files, table = Path(folder) / "files.csv", Path(folder) / "table.csv"
            _write_clips(files, clips)
            self._run(files, table, reporter)
            yield from transcriptions(table, clips)

    def _run(self, files: Path, table: Path, reporter: Reporter) -> None:
        words = [w.replace("{files}", str(files)).replace("{table}", str(table)) for w in self.settings.command]
        reporter.say(f"running {' '.join(self.settings.command)}")
        try:
            done = subprocess.run(
                words, cwd=self.root, capture_output=True, check=False, timeout=self.settings.timeout_s,
                text=True, encoding="utf-8", errors="backslashreplace",
            )  # fmt: skip
        except FileNotFoundError:
            raise ValueError(f"command: there is no program '{words[0]}': install it, or name its path") from None
        except OSError as error:
            raise ValueError(
                f"command: '{words[0]}' cannot be started: {error.strerror}. Make the file executable, or put the "
                "program that runs it before it"
            ) from None
        except subprocess.TimeoutExpired:
            raise ValueError(
                f"command: {words[0]} did not end within timeout_s {self.settings.timeout_s:g}: raise it, or see what "
                "the program waits for"
            ) from None
        if done.returncode or not table.is_file():
            why = f"exit code {done.returncode}" if done.returncode else "it wrote no {table}"
            last = "\n".join((done.stdout + done.stderr).splitlines()[-TOLD_LINES:])
            raise ValueError(
                f"command: {' '.join(self.settings.command)}: {why}. Mend the program, or how it is called: it must "
                f"end with exit code 0 and a table of transcripts. Its last lines:\n{last}"
            )


def _write_clips(files: Path, clips: Sequence[Clip]) -> None:
    with files.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(("id", "path"))
        for number, clip in enumerate(clips):
            audio = files.with_name(f"{number:07d}.wav")
            soundfile.write(audio, clip.waveform_N, clip.sample_rate_hz, subtype="PCM_16")
            table.writerow((clip.id, audio))
