"""No process outlives the run that it works for, however that run ends.

A run is a tree: the flow starts DVC for each stage, DVC starts the stage, a stage may start workers. Prefect's
temporary server and the warm process (`flows.run.warm`), from which stages are forked, are the flow's, too.

The flow dies
  by SIGINT or SIGTERM: it ends the tree of each DVC (`kill_tree`), notes KILLED in MLflow, and fails. Its watchdog
    (`start_watchdog`) ends Prefect's server, which outlives a SIGTERM.
  by kill -9: each stage sees it and ends as by SIGTERM (`terminate_after`), then its DVC does. The watchdog ends what
    else the flow had started. The next run closes the runs that MLflow still has as RUNNING.
DVC dies
  by SIGTERM or kill -9: the flow ends the stage that DVC left (`terminate_by_environment`), and the stage has failed.
  DVC ignores SIGINT while a stage runs.
A stage dies
  by SIGINT or SIGTERM: it raises, its run in MLflow ends as KILLED, its workers end, DVC fails, and with it the
    stage in the flow; what does not depend on it goes on.
  by kill -9: its workers see it and end (`terminate_after`), DVC fails, and the flow closes its run in MLflow.

Who is told to end gets SIGTERM, and SIGKILL after GRACE_S. A stage of the warm process is no child of DVC: what
DVC started in its place hands signals on (`tasks.runner.warm_client`), and the stage ends with that
(`terminate_after`). The warm process ends with its standard input, which the flow holds. Cells of studies and trials of
searches end with the process that started them (`terminate_after`). `kd schedule` has a watchdog, too: where it is
killed, its server and the run under way end. What the dead leave on disk: `flows.dvc_state.locks`,
`flows.dvc_state.lock_file`.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from functools import cache

import psutil

LOOK_EVERY_S = 1.0
GRACE_S = 10.0
"""Between SIGTERM and SIGKILL."""
TIDY_S = 2.0
"""For DVC to end by itself once what it started has ended."""
CLOCK_SLACK_S = 2.0
"""Linux gives starts of processes to 10 ms, counted from a start of the machine that it rounds to 1 s."""


def alive(pid: int, since_s: float | None = None) -> bool:
    """Whether process `pid` runs: a zombie does not, nor does another that got the number after `since_s`."""
    try:
        process = psutil.Process(pid)
        started_s = process.create_time()
        return process.status() != psutil.STATUS_ZOMBIE and (since_s is None or started_s <= since_s + CLOCK_SLACK_S)
    except psutil.NoSuchProcess:
        return False


def runs_command(pid: int, command: str) -> bool:
    """Whether process `pid` runs, and was started by this command line: else another has got its number since."""
    arguments = command.split()[1:]  # without the program, which may be named in more than one way
    try:
        return alive(pid) and set(arguments) <= set(" ".join(psutil.Process(pid).cmdline()).split())
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # somebody else's
        return True


def terminate_after(pid: int) -> None:
    """Watch process `pid` from a thread: once it is gone, SIGTERM to ourselves, and after GRACE_S a hard end."""
    threading.Thread(target=_end_after, args=(pid,), name="terminate_after", daemon=True).start()


def kill_tree(pid: int) -> None:
    """End the descendants of a process, then itself; it gets SIGTERM only where it has none.

    DVC then ends by itself and releases its locks. Nothing happens if the process is gone.
    """
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        _terminate(root.children(recursive=True) or [root])
        with suppress(psutil.TimeoutExpired):
            root.wait(timeout=TIDY_S)
        _terminate([*root.children(recursive=True), root], grace_s=0.0)


def terminate_by_environment(variable: str, value: str) -> None:
    """End all processes that were started with this in their environment, whoever is their parent now."""
    _terminate([process for process in psutil.process_iter() if _environment(process).get(variable) == value])


@cache
def start_watchdog(pid: int) -> None:
    """Let a process of its own, which is no child of ours, watch process `pid` to its end; once for each `pid`.

    It remembers the descendants of `pid`, those of now and, once every LOOK_EVERY_S, the newer ones, and ends those
    that outlive it. SIGTERM leaves some, too: Prefect's temporary server.
    """
    nothing = subprocess.DEVNULL
    command = [sys.executable, "-m", "tasks.runner.supervisor", str(pid)]
    subprocess.run(command, check=True, stdin=nothing, stdout=nothing, stderr=nothing)


def _descendants(pid: int) -> set[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return set(psutil.Process(pid).children(recursive=True))
    return set()


def _watch(pid: int, family: set[psutil.Process]) -> None:
    with suppress(psutil.NoSuchProcess):
        head = psutil.Process(pid)
        while head.is_running() and head.status() != psutil.STATUS_ZOMBIE:
            family = {process for process in family if process.is_running()} | {*head.children(recursive=True)}
            time.sleep(LOOK_EVERY_S)
    _terminate(family - {psutil.Process()})


def _end_after(pid: int) -> None:
    while alive(pid):
        time.sleep(LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(137)


def _terminate(processes: Collection[psutil.Process], grace_s: float = GRACE_S) -> None:
    """SIGTERM to all, and SIGKILL to those that are left after `grace_s`.

    A process that has since taken over a pid is not touched.
    """
    for process in processes if grace_s else ():
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(processes, timeout=grace_s)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _environment(process: psutil.Process) -> dict[str, str]:
    """Empty for a process that is gone, or somebody else's."""
    try:
        return process.environ()
    except psutil.Error:
        return {}


if __name__ == "__main__":
    os.setsid()
    watched = int(sys.argv[1])
    known = _descendants(watched)  # before `start_watchdog` returns: what is killed at once leaves nothing, either
    if os.fork() == 0:
        _watch(watched, known)
