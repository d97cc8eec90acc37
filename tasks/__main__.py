"""`python -m tasks STAGE [NAME]`: run one stage, as dvc.yaml does."""

import sys

from tasks.harness import STAGES, Killed, run_stage


def main(arguments: list[str]) -> int:
    """Exit code of the stage that the arguments name."""
    asked = bool({"-h", "--help"} & set(arguments))
    if asked or not 1 <= len(arguments) <= 2:
        usage = f"usage: python -m tasks STAGE [NAME], STAGE being one of {', '.join(STAGES)}"
        print(usage, file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    try:
        return run_stage(arguments[0], "".join(arguments[1:]))
    except Killed:
        return 143
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
