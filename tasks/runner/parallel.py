"""Work spread over processes, with results in order and memory that does not grow with the corpus."""

import atexit
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from tasks.runner.supervisor import terminate_after

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int) -> Iterator[Result]:
    """`function` of each item, in their order, by `workers` fresh processes (0: one for each core).

    At most four items a process are under way, so any number of items takes the same memory. Processes
    are spawned, not forked: nothing of the parent leaks into the results. They end with the parent,
    even where it is killed. Raises what `function` raises; RuntimeError where a process dies.
    """
    workers = workers or cores()
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start, (os.getpid(),))
    under_way: deque[Future[Result]] = deque()
    try:
        for item in items:
            under_way.append(pool.submit(function, item))
            if len(under_way) >= 4 * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    except BrokenProcessPool:
        raise RuntimeError(
            "A worker process died before it finished. Was it killed, perhaps for want of memory? "
            "Fewer workers (preprocess.workers) need less."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start(parent: int) -> None:
    terminate_after(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends the pool
    atexit.register(os._exit, 0)  # at the end of a process that is not to take apart what it loaded, for a second
