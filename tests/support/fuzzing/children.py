"""Cases in child processes, each of which does a part of every kind; the parent names what kills or stops one.

A child is forked from a process that has loaded what is tried and run nothing of it.
"""

import faulthandler
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from fuzzing.watching import Verdict, Watcher

PARTS = 100
MOST_BYTES = 6 << 30  # of memory that a child may take

Job = tuple[str, int]
"""A kind and the number of a case."""


@dataclass
class Found:
    """outcomes: how many cases of a kind ended how. failures: what was wrong, by job."""

    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    failures: dict[Job, Verdict] = field(default_factory=dict)

    def add(self, job: Job, verdict: Verdict) -> None:
        self.outcomes.setdefault(job[0], Counter())[verdict.outcome] += 1
        if verdict.problem is not None:
            self.failures[job] = verdict


@dataclass(frozen=True)
class Fuzzer:
    """room: a folder for what cases write. out: where failures are kept. limit_s: a case may take of the processor,
    wait_s: in all, grace_s: more than that, until a child that is deaf to the alarm is ended.

    Cases take milliseconds. wait_s is so long that only what never ends meets it: others may have the processor in the
    meantime.
    """

    seed: str
    room: Path
    out: Path
    limit_s: float = 5.0
    wait_s: float = 600.0
    grace_s: float = 60.0

    def run(
        self, cases: Mapping[str, Sequence[int]], parts: int = PARTS, say: Callable[[str], object] = print
    ) -> Found:
        """Run these cases of each kind; a failure goes to `out`/KIND-NUMBER/: case.json and its input files."""
        found = Found()
        self._make_shared(list(cases))
        for kind in cases:
            import_module(f"fuzzing.{kind}")
        for part in range(parts):
            jobs = [(kind, number) for kind, numbers in cases.items() for number in numbers[part::parts]]
            before = len(found.failures)
            for job, verdict in self._verdicts(jobs):
                found.add(job, verdict)
                if verdict.problem is not None:
                    self._keep(job, verdict)
            if (new := len(found.failures) - before) or (part + 1) % max(1, parts // 10) == 0:
                done = sum(sum(counts.values()) for counts in found.outcomes.values())
                say(f"part {part + 1} of {parts}: {done:,} cases, {new} new failures")
        return found

    def _make_shared(self, kinds: list[str]) -> None:
        """What all children read: made once, in a process of its own."""
        shared = self.room / "shared"
        shared.mkdir(parents=True)
        code = "import sys; from fuzzing.shared import make; make(sys.argv[1], sys.argv[2:])"
        places = os.pathsep.join(path for path in sys.path if path)
        environment = {**os.environ, "PYTHONPATH": places}
        command = [sys.executable, "-c", code, str(shared), *kinds]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)

    def _verdicts(self, jobs: list[Job]) -> Iterator[tuple[Job, Verdict]]:
        """Of all jobs in their order; where a child ends or hangs, a new one goes on after the case that it was at."""
        waiting = list(jobs)
        while waiting:
            for job, verdict in self._of_one_child(list(waiting)):
                waiting.remove(job)
                yield job, verdict

    def _of_one_child(self, jobs: list[Job]) -> Iterator[tuple[Job, Verdict]]:
        sys.stdout.flush()
        sys.stderr.flush()
        reading, writing = os.pipe()
        if (pid := os.fork()) == 0:
            self._in_the_child(jobs, writing)
        os.close(writing)
        with os.fdopen(reading, "rb", buffering=0) as lines:
            at = jobs[0]
            silent = False
            try:
                for line in _lines(lines, self.wait_s + self.grace_s):
                    told = json.loads(line)
                    at = (told["job"][0], told["job"][1])
                    if "verdict" in told:
                        jobs.remove(at)
                        yield at, Verdict(**told["verdict"])
                        at = jobs[0] if jobs else at
            except TimeoutError:
                silent = True
                os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if silent:
            yield at, Verdict("hang", "no end, and deaf to the alarm")
        elif jobs:
            said = (self.room / "crash").read_text(errors="replace")[-2_000:]
            yield at, Verdict("crash", f"the process ended with exit code {code}", said)

    def _in_the_child(self, jobs: list[Job], writing: int) -> None:
        """Never returns to what the parent does."""
        code = 3
        try:
            self._work(jobs, writing)
            code = 0
        except BaseException:
            with (self.room / "crash").open("a") as crash:
                traceback.print_exc(file=crash)
        finally:
            os._exit(code)

    def _work(self, jobs: list[Job], writing: int) -> None:
        """Do the jobs, and tell of each when it begins and when it has ended."""
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
        crash = (self.room / "crash").open("w")
        faulthandler.enable(crash)
        attempts: dict[str, Any] = {}
        watcher = Watcher(self.limit_s, self.wait_s)
        with os.fdopen(writing, "w", buffering=1) as report:
            for kind, number in jobs:
                if kind not in attempts:
                    (self.room / kind).mkdir(exist_ok=True)
                    attempts[kind] = import_module(f"fuzzing.{kind}").prepared(self.room / "shared", self.room / kind)
                os.chdir(self.room / kind)
                report.write(json.dumps({"job": [kind, number]}) + "\n")
                folder = self._folder((kind, number))
                verdict = watcher.judge(attempts[kind], f"{self.seed} {kind} {number}", folder)
                if verdict.problem is None:
                    shutil.rmtree(folder)
                report.write(json.dumps({"job": [kind, number], "verdict": verdict.as_dict()}) + "\n")

    def _folder(self, job: Job) -> Path:
        return self.room / "cases" / f"{job[0]}-{job[1]}"

    def _keep(self, job: Job, verdict: Verdict) -> None:
        folder = self.out / f"{job[0]}-{job[1]}"
        shutil.rmtree(folder, ignore_errors=True)
        if self._folder(job).is_dir():
            shutil.copytree(self._folder(job), folder, symlinks=True)
        folder.mkdir(parents=True, exist_ok=True)
        case = {"seed": self.seed, "kind": job[0], "number": job[1], **verdict.as_dict()}
        (folder / "case.json").write_text(json.dumps(case, indent=1) + "\n")


def _lines(source: BinaryIO, wait_s: float) -> Iterator[bytes]:
    """Until the writer ends. Raises TimeoutError where it says nothing for so long."""
    held = b""
    while True:
        if not select.select([source], [], [], wait_s)[0]:
            raise TimeoutError
        if not (data := source.read(1 << 16)):
            return
        *whole, held = (held + data).split(b"\n")
        yield from whole
