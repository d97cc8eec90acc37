"""The Prefect flow: when and how stages run. What runs after what stands in dvc.yaml alone."""

import os
import queue
from functools import partial
from pathlib import Path
from typing import Any, cast

from filelock import FileLock
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.states import Completed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.dvc_state.graph import look
from flows.dvc_state.leftovers import remove_leftovers, remove_spent_scratch
from flows.dvc_state.unsaved_outputs import unsaved_outputs
from flows.options import STAGE_TIMEOUT_HOURS
from flows.run.artifacts import publish
from flows.run.model_registry import register_best
from flows.run.recording import Recording, complete
from flows.run.session import Session
from flows.run.stage import StageError, StoppedError
from flows.run.warm import warm_process
from tasks.params.load import load_params
from tasks.runner.paths import Paths
from tasks.runner.supervisor import start_watchdog

STAGE_TIMEOUT_S = STAGE_TIMEOUT_HOURS * 3600


class PipelineError(RuntimeError):
    """Some stages failed; the message ends with what the first of them wrote last."""


def _threads() -> "TaskRunner[PrefectFuture[Any]]":
    """Threads suffice: the work is in subprocesses."""
    return cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner())


def _worth_retrying(_task: Any, _run: Any, state: State[Any]) -> bool:
    """A stage that we stopped ourselves is not tried again."""
    return not isinstance(state.result(raise_on_failure=False), StoppedError)


@task(cache_policy=NO_CACHE, retry_delay_seconds=2, retry_condition_fn=_worth_retrying, task_run_name="{name}")
def stage(name: str, session: Session) -> State[Any]:
    """One stage, as a subprocess of its own; the state's name is DVC's verdict."""
    verdict = session.run(name, get_run_logger().info)
    return Completed(name=verdict.capitalize(), message=f"{name}: {verdict}", data=verdict)


@flow(name="pipeline", task_runner=_threads(), validate_parameters=False)
def pipeline(
    root: str = ".", jobs: int = 2, retries: int = 1, timeout_s: float = STAGE_TIMEOUT_S, force: bool = False
) -> dict[str, str]:
    """Bring everything under `root` up to date; gives each stale stage's verdict.

    jobs: stages at a time; retries: further attempts for a stage that fails; force: run what is up to date, too.
    Raises ParamsError before any work, PipelineError if a stage fails; what does not depend on it still runs.
    """
    folder = Path(root)
    params = load_params(Paths(folder).params)
    lock = Paths(folder).scratch / "run.lock"
    lock.parent.mkdir(exist_ok=True)
    start_watchdog(os.getpid())
    with FileLock(lock):  # a run that is due while another goes on here waits for it
        state = look(folder, get_run_logger().info)
        gone, left = remove_leftovers(folder, state.graph)
        for child in left:
            _say(f"{child} is left alone: no stage made it as it is. profile and report may read it")
        if gone:
            _say(f"Removed {', '.join(map(str, gone))}, which no stage makes any more")
            state = look(folder)
        remove_spent_scratch(folder, state)
        if not state.stale and not force:
            get_run_logger().info("Everything is up to date")
            complete(folder, params)
            return {}
        if lines := unsaved_outputs(folder, state.graph.nodes if force else state.stale):
            raise PipelineError("\n".join(lines))
        run = Recording(folder, params)
        session = Session(folder, state, run.run_id, jobs, force, timeout_s)
        _run_recorded(session, run, retries)
        if session.failures:
            raise PipelineError(_explain(session))
        register_best(folder)
        return session.verdicts


def _say(line: str) -> None:
    """To Prefect's log, and to the terminal, where that log is not shown."""
    get_run_logger().info(line)
    print(line, flush=True)


def _run_recorded(session: Session, run: Recording, retries: int) -> None:
    """Run the stages; whatever ends them, MLflow and Prefect are told."""
    status = "KILLED"
    try:
        todo = [session.graph.nodes[name] for name in session.todo]
        with warm_process(session.root, todo) as session.warm, session.display:
            session.remark_on_the_rest()
            _drive(session, retries)
        status = "FAILED" if session.failures else "FINISHED"
    finally:
        session.stop.set()
        run.finish(status, session.verdicts, {"verdicts.md": verdict_table(session)})
        session.clean_up()
    publish(session.root, verdict_table(session))


def _drive(session: Session, retries: int) -> None:
    """Start stages as soon as what they wait for is done, as many at a time as wanted, until none can start."""
    futures: dict[str, PrefectFuture[Any]] = {}
    ended: queue.Queue[str] = queue.Queue()
    done: set[str] = set()
    running: set[str] = set()
    try:
        while True:
            for name in session.ready(set(futures), done)[: session.jobs - len(running)]:
                before = [futures[other] for other in session.graph.wait_for(name, session.todo)]
                attempt = stage.with_options(name=name.partition("@")[0], retries=retries)
                futures[name] = attempt.submit(name, session, wait_for=before, return_state=False)
                futures[name].add_done_callback(partial(_announce, ended, name))
                running.add(name)
            if not running:
                return
            name = ended.get()
            running.remove(name)
            if session.succeeded(name):
                done.add(name)
    except BaseException:
        session.stop.set()
        for name in running:
            futures[name].wait(timeout=30)
        raise


def _announce(ended: "queue.Queue[str]", name: str, _future: object) -> None:
    ended.put(name)


def _explain(session: Session) -> str:
    """Which stages failed, which were not run for that, and the first one's last words."""
    unrun = [name for name in session.todo if name not in session.verdicts]
    first = next(iter(session.failures.values()))
    lines = [f"failed: {', '.join(session.failures)}"]
    if unrun:
        lines.append(f"not run, because they depend on that: {', '.join(unrun)}")
    tail = first.tail if isinstance(first, StageError) else []
    return "\n".join(
        [*lines, f"the last lines of {next(iter(session.failures))}:", *(f"  {line}" for line in tail or [str(first)])]
    )


def verdict_table(session: Session) -> str:
    """Verdicts as a Markdown table."""
    rows = [f"| {name} | {how} | {session.seconds[name]:.1f} |" for name, how in session.verdicts.items()]
    return "\n".join(["| stage | verdict | seconds |", "|---|---|---|", *rows])
