"""The command line of the runtime, by the standard library alone."""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence

from kd.runtime import spot, transcribe
from kd.runtime.errors import RefusedError

PROGRAM = "python -m kd.runtime"


def main(arguments: Sequence[str] | None = None, program: str = PROGRAM) -> int:
    """Run one command; gives the exit code: 2 for what the user can put right, said in one line."""
    options = parser(program).parse_args(arguments)
    try:
        options.run(options)
    except RefusedError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # nobody reads on; say nothing more
        return 141
    return 0


def parser(program: str) -> ArgumentParser:
    whole = ArgumentParser(program, description="Run exported recognisers: nothing but onnxruntime and numpy.")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    for name, module in {"transcribe": transcribe, "spot": spot}.items():
        command = commands.add_parser(
            name, help=module.__doc__, description=module.__doc__, formatter_class=RawDescriptionHelpFormatter
        )
        module.add_options(command)
        command.set_defaults(run=module.run)
    return whole
