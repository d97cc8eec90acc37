"""Whether anything damaged ends in a traceback, a hang, a warning or an endless line.

    python benchmarks/fuzz.py SEED [--params N] [--tables N] [--audio N] [--commands N] [--out FOLDER]
    python benchmarks/fuzz.py SEED --case KIND:NUMBER

Damaged params files (params.yaml, presets, studies, searches), tables, audio files and command lines, given to the
code that reads them, in processes of their own that do a hundredth of the work each. A case may be done, or refused
by an error of the project's own, or end in exit code 0, 1 or 2. What it may not: raise anything else, go on for 5 s
of the processor or 10 minutes in all, print a line of more than 500 characters, or let a warning out. Counts are
printed; each failure is written to FOLDER/KIND-NUMBER/, with the files that it read. Exit code 1 where there is any.

The same seed gives the same cases. --case runs one again and prints all of what it said.
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

REPO = Path(__file__).parents[1]
sys.path[:0] = [str(REPO), str(REPO / "tests" / "support")]  # where the damage is made
os.environ["OMP_NUM_THREADS"] = "1"  # read when numpy is loaded; a process of many threads cannot be forked
os.environ["COLUMNS"] = "100"

from fuzzing.children import PARTS, Found, Fuzzer  # noqa: E402

COUNTS = {"params": 20_000, "tables": 2_000, "audio": 2_000, "commands": 2_000}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seed")
    for kind, count in COUNTS.items():
        parser.add_argument(f"--{kind}", type=int, default=count, metavar="N", help=f"default: {count}")
    parser.add_argument("--parts", type=int, default=PARTS, metavar="N", help=f"processes; default: {PARTS}")
    parser.add_argument("--out", type=Path, help="where failures go; default: scratch/fuzz/SEED")
    parser.add_argument("--case", metavar="KIND:NUMBER", help="this one alone")
    options = parser.parse_args()
    out = options.out or Path("scratch") / "fuzz" / options.seed
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        fuzzer = Fuzzer(options.seed, Path(folder), out)
        if options.case:
            kind, _, number = options.case.partition(":")
            found = fuzzer.run({kind: [int(number)]}, parts=1)
        else:
            cases = {kind: range(getattr(options, kind)) for kind in COUNTS if getattr(options, kind)}
            found = fuzzer.run(cases, options.parts, say=lambda line: print(line, flush=True))
    for verdict in found.failures.values() if options.case else ():
        print(verdict.said)
    print(report(found, out))
    return 1 if found.failures else 0


def report(found: Found, out: Path) -> str:
    """Counts by kind and outcome, then failures by what is wrong, the commonest first."""
    lines = []
    for kind, outcomes in found.outcomes.items():
        counted = ", ".join(f"{name} {count:,}" for name, count in outcomes.most_common())
        lines.append(f"{kind}: {sum(outcomes.values()):,} cases: {counted}")
    problems = Counter(f"{job[0]}: {verdict.problem}" for job, verdict in found.failures.items())
    lines += [f"{count} × {problem}" for problem, count in problems.most_common()]
    lines.append(f"{len(found.failures)} failures" + (f", in {out}" if found.failures else ""))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
