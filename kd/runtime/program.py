"""The command line of the runtime, by the standard library alone."""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence

from kd.runtime import spot, transcribe
from kd.runtime.errors import RefusedError
from kd.runtime.options import Parser
from kd.runtime.terminal import prepare, say

PROGRAM = "python -m kd.runtime"


def main(arguments: Sequence[str] | None = None, program: str = PROGRAM) -> int:
    """Run one command; gives the exit code.

    0: all was done; 1: some files failed; 2: nothing was, for a reason that the user can put right, said in one line.
    """
    prepare()
    try:
        options = parser(program).parse_args(arguments)
        code: int = options.run(options)
    except RefusedError as error:
        say(f"{program}: {error}")
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # nobody reads on; say nothing more
        return 141
    return code


def parser(program: str) -> ArgumentParser:
    """What the command line may hold; `program` is the name under which it was called."""
    whole = Parser(program, description="Run exported recognisers by onnxruntime, numpy and soundfile alone.")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    for name, module in {"transcribe": transcribe, "spot": spot}.items():
        command = commands.add_parser(
            name, help=module.__doc__, description=module.__doc__, formatter_class=RawDescriptionHelpFormatter
        )
        module.add_options(command)
        command.set_defaults(run=module.run, program=program)
    return whole
