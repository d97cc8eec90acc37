"""`python -m tasks STAGE [NAME]`: run one stage, as dvc.yaml does."""

import atexit
import os
import sys
import threading
from pathlib import Path
from typing import NoReturn

from tasks.runner.warm_client import run_warm

SERVE = "--warm"


def main(arguments: list[str]) -> int:
    """Exit code of the stage that the arguments name, run by the flow's warm process where there is one."""
    if len(arguments) == 3 and arguments[0] == SERVE and arguments[2].isdecimal():
        from tasks.runner.warm import serve_stages

        stage = serve_stages(arguments[1], int(arguments[2]))
        return 0 if stage is None else run(stage)
    code = run_warm(arguments)
    return run(arguments) if code is None else code


def run(arguments: list[str]) -> int:
    """Exit code of the stage that the arguments name, run here."""
    from tasks.runner.harness import STAGES, Killed, run_stage
    from tasks.tracking.runs import follow

    if arguments == ["digests"]:
        from tasks.runner.stage_digests import write_digests

        write_digests(Path())
        return 0
    asked = bool({"-h", "--help"} & set(arguments))
    if asked or not 1 <= len(arguments) <= 2:
        usage = f"usage: python -m tasks STAGE [NAME], STAGE being one of {', '.join(STAGES)}"
        print(usage, file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    try:
        return run_stage(arguments[0], "".join(arguments[1:]), follow=follow)
    except Killed:
        return 143
    except KeyboardInterrupt:
        return 130


def leave(code: int) -> NoReturn:
    """End this process with an exit code, after all that a stage may have left to do at its end.

    Python would then free object by object what torch and MLflow loaded: 1.5 s of the processor for each stage, since a
    fork has to copy each page for that.
    """
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
