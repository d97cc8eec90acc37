"""Stage `corpus`: find or make audio, and write the table of what lies where."""

from dataclasses import replace

from tasks.data.corpora import CORPORA
from tasks.data.corpora.raw import Place, write_raw
from tasks.params.pipeline import Params
from tasks.runner.atomic_io import fresh_folder
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter, Reporter


def run(params: Params, paths: Paths, name: str = "", reporter: Reporter = NullReporter()) -> dict[str, float]:
    """Write data/raw/. Raises ValueError where the corpus cannot be had or is empty."""
    corpus = params.corpus
    with fresh_folder(paths.raw) as out:
        rows = CORPORA[corpus.kind](corpus, Place(paths.root, out, reporter))
        rows = (row if row.part else replace(row, part=corpus.kind) for row in rows)
        count = write_raw(out / "utterances.parquet", rows)
        if count == 0:
            raise ValueError(f"the corpus ({corpus.kind} in {corpus.root}) has no utterance: fill it, or name another")
    reporter.say(f"{count} utterances ({corpus.kind})")
    return {"utterances": float(count)}
