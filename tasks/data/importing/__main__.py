"""`python -m tasks.data.importing ORDER`: looks at a corpus for `kd import`. ORDER is JSON, see `Order`."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kd.runtime.terminal import prepare, say
from tasks.data.importing.preview import preview
from tasks.data.importing.recognise import settings_of
from tasks.data.importing.section import section_text, write_section
from tasks.data.importing.wording import lines_of_preview
from tasks.params.errors import ParamsError
from tasks.params.load import parse_params
from tasks.params.strict_yaml import read_yaml
from tasks.runner.paths import Paths
from tasks.runner.progress import TerminalReporter
from tasks.runner.reporter import Reporter


@dataclass(frozen=True)
class Order:
    """sources: PATH or PART=PATH. decode: utterances of each part whose audio is decoded; 0: all."""

    sources: list[str]
    kind: str | None = None
    root: str | None = None
    decode: int = 500
    write: bool = False
    params: str = "params.yaml"


def look(order: Order, project: Path, reporter: Reporter) -> int:
    """Exit code: 0; 1 where no utterance can be used, and then nothing is written. Raises ValueError in one line."""
    settings = settings_of(order.sources, order.kind, order.root, project, reporter.say)
    file = project / order.params
    params = parse_params({**read_yaml(file), "corpus": settings})
    seen = preview(params, Paths(project), order.decode, reporter)
    if not seen.parts:
        raise ValueError(f"{', '.join(order.sources)}: there is no utterance in it")
    for line in (f"Found: {settings['kind']}", "", *lines_of_preview(seen), "", section_text(settings).rstrip(), ""):
        print(line)
    if not seen.kept:
        say("No utterance that was looked at can be used, and nothing is written: see why above")
        return 1
    if order.write:
        write_section(file, settings)
        print(f"{order.params} has this section corpus now. `kd run` reads the corpus.")
    else:
        print(f"Nothing is written. --write puts this section into {order.params}.")
    return 0


def main(text: str) -> int:
    """Exit code 2 where the paths, the parameters or the corpus cannot be understood, with a line for each mistake."""
    fields: dict[str, Any] = json.loads(text)
    try:
        return look(Order(**fields), Path(), TerminalReporter())
    except ParamsError as error:
        for line in error.lines:
            say(line)
    except ValueError as error:
        say(str(error))
    except OSError as error:
        say(f"{error.filename or 'a file'}: {error.strerror or error}: correct the path, or allow to read it")
    return 2


if __name__ == "__main__":
    prepare()
    sys.exit(main(*sys.argv[1:]))
