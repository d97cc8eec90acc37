"""Stage `corpus`: find or make audio, and write the table of what lies where."""

from dataclasses import replace

from tasks.corpora import CORPORA
from tasks.corpora.raw import Place, write_raw
from tasks.fresh import fresh_folder
from tasks.params.pipeline import Params
from tasks.paths import Paths
from tasks.watch import Silent, Watch


def run(params: Params, paths: Paths, name: str = "", watch: Watch = Silent()) -> dict[str, float]:
    """Write data/raw/. Raises ValueError where the corpus cannot be had or is empty."""
    corpus = params.corpus
    with fresh_folder(paths.raw) as out:
        rows = CORPORA[corpus.kind](corpus, Place(paths.root, out, watch))
        rows = (row if row.part else replace(row, part=corpus.kind) for row in rows)
        count = write_raw(out / "utterances.parquet", rows)
        if count == 0:
            raise ValueError(f"the corpus ({corpus.kind} in {corpus.root}) has no utterance")
    watch.say(f"{count} utterances ({corpus.kind})")
    return {"utterances": float(count)}
