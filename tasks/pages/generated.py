"""Pages of docs/ that are written by a command: `--check` says which of them are not as it would write them."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.runner.atomic_io import write_whole


def stale(pages: Mapping[Path, str]) -> list[Path]:
    """The pages that are missing, or hold something else."""
    return [file for file, text in pages.items() if not file.is_file() or file.read_bytes() != text.encode()]


def write_or_check(pages: Mapping[Path, str], arguments: Sequence[str], command: str) -> int:
    """Write what is stale; with --check only name it, and give exit code 1 where anything is."""
    if wrong := set(arguments) - {"--check"}:
        print(f"{command}: {', '.join(sorted(wrong))} is unknown; there is --check", file=sys.stderr)
        return 2
    check = "--check" in arguments
    old = stale(pages)
    for file in old:
        if check:
            print(f"{file} is not up to date: run {command}", file=sys.stderr)
        else:
            write_whole(file, pages[file])
            print(f"{file} is written")
    return int(check and bool(old))
