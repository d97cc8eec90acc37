"""What hotwords recall and what they cost: a boost chosen on validation, then recall, B-WER and U-WER on the test part.

    python benchmarks/hotwords.py FOLDER MODEL [--terms rare | spelled | --list FILE] [--out FILE.csv]

FOLDER holds data/prepared/ and exports/MODEL/. Terms are words that stand at most twice in the training transcripts
(rare), or runs of at least three letters that are said one by one, as in names that are spelled (spelled). Each
utterance has a list of its own: its terms and up to DISTRACTORS others', drawn by its id, so that a list is never what
was said; `--list FILE` is one list of yours for all. The boost is the one with the highest recall on validation whose
U-WER is at most BOUND above that without hotwords; the test part is scored without hotwords and with that boost, for
greedy and for beam search, once each.
"""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs from a checkout, by its path alone

import pandas as pd

from kd.runtime.beam import Beam
from kd.runtime.biased_greedy import BiasedGreedy
from kd.runtime.bundle import FORMS, Bundle
from kd.runtime.hotwords import Hotword, Hotwords, read_hotwords
from kd.runtime.recogniser import LogProbs
from kd.runtime.scorer import Scorer
from kd.runtime.transcribe import Decoder, words_of
from kd.stats import error_interval
from kd.text.hotword_metrics import HotwordCounts, hotword_counts
from tasks.data.prepared import PreparedData, Utterance
from tasks.onnx.onnx_decoder import OnnxDecoder
from tasks.runner.paths import Paths

BOOSTS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
BOUND = 0.005
DISTRACTORS = 100
BEAM = 12
RARE = 2  # times in the training transcripts
SPELLED = 3  # letters, said one by one
SHORT = 4  # letters
SHARED = 3  # letters that two phrases begin with


@dataclass(frozen=True)
class Heard:
    """An utterance, what the model makes of it, its terms, and its list: terms and distractors."""

    utterance: Utterance
    log_probs_TV: LogProbs
    terms: list[str]
    phrases: list[str]


def rare_terms(train: Sequence[str]) -> Callable[[str], list[str]]:
    counts = Counter(word for text in train for word in text.split())
    return lambda text: sorted({word for word in text.split() if counts[word] <= RARE})


def spelled_terms(train: Sequence[str]) -> Callable[[str], list[str]]:
    def of(text: str) -> list[str]:
        runs: list[list[str]] = [[]]
        for word in text.split():
            if len(word) == 1:
                runs[-1].append(word)
            elif runs[-1]:
                runs.append([])
        return sorted({" ".join(run) for run in runs if len(run) >= SPELLED})

    return of


def standing_in(phrases: Sequence[str]) -> Callable[[str], list[str]]:
    return lambda text: [phrase for phrase in phrases if f" {phrase} " in f" {text} "]


TERMS = {"rare": rare_terms, "spelled": spelled_terms}


def search(kind: str, tokens: tuple[str, ...], phrases: Iterable[str], boost: float) -> Decoder:
    hotwords = Hotwords([Hotword(phrase, boost) for phrase in phrases] if boost else [], tokens)
    return BiasedGreedy(tokens, hotwords) if kind == "greedy" else Beam(tokens, BEAM, Scorer(hotwords=hotwords))


def counts_of(bundle: Bundle, part: Sequence[Heard], kind: str, boost: float) -> list[HotwordCounts]:
    """Of each utterance."""
    found = []
    for heard in part:
        decoder = search(kind, bundle.tokens, heard.phrases, boost)
        text = " ".join(word.text for word in words_of(bundle, decoder, heard.log_probs_TV, 0.0))
        found.append(hotword_counts(heard.utterance.text, text, heard.terms))
    return found


def chosen(bundle: Bundle, valid: Sequence[Heard], kind: str) -> tuple[float, list[dict[str, Any]]]:
    """The boost with the highest recall within the bound, and the table of all."""
    rows = []
    for boost in (0.0, *BOOSTS):
        total = reduce(add, counts_of(bundle, valid, kind, boost))
        rows.append({"search": kind, "part": "valid", "terms": "all", "boost": boost, **rates(total)})
    kept = [row for row in rows if row["u_wer"] <= rows[0]["u_wer"] + BOUND]
    return max(kept, key=lambda row: (row["recall"], -row["boost"]))["boost"], rows


def rates(total: HotwordCounts) -> dict[str, float]:
    named, rest = total.named, total.rest
    return {
        "phrases": total.phrases,
        "recall": total.recalled / max(1, total.phrases),
        "b_wer": named.errors / max(1, named.reference_units),
        "u_wer": rest.errors / max(1, rest.reference_units),
        "wer": (named + rest).errors / max(1, (named + rest).reference_units),
    }


def intervals(part: Sequence[Heard], counts: Sequence[HotwordCounts]) -> dict[str, float]:
    """95 % over speakers, of the recall and of U-WER; utterances without a term say nothing of the first."""
    speakers = [heard.utterance.speaker for heard in part]
    named = [(c.phrases - c.recalled, c.phrases, s) for c, s in zip(counts, speakers, strict=True) if c.phrases]
    missed = error_interval(*zip(*named, strict=True))
    rest = error_interval([c.rest.errors for c in counts], [c.rest.reference_units for c in counts], speakers)
    return {
        "recall_low": 1 - missed.high, "recall_high": 1 - missed.low, "u_wer_low": rest.low, "u_wer_high": rest.high,
    }  # fmt: skip


def kinds_of_terms(part: Sequence[Heard]) -> dict[str, Callable[[Heard, str], bool]]:
    """Rows of the table: which of an utterance's terms are counted."""

    def shared(heard: Heard, term: str) -> bool:
        start = term.replace(" ", "")[:SHARED]
        return any(other != term and other.replace(" ", "").startswith(start) for other in heard.phrases)

    return {
        "all": lambda heard, term: True,
        "short": lambda heard, term: len(term.replace(" ", "")) <= SHORT,
        "shared prefix": shared,
    }


def with_lists(
    part: Sequence[Utterance],
    posteriors: Iterable[LogProbs],
    terms: Callable[[str], list[str]],
    pool: Sequence[str],
    most: int,
) -> list[Heard]:
    """Utterances with their terms, and lists that hold at most so many others of the pool."""
    found = []
    for utterance, log_probs_TV in zip(part, posteriors, strict=True):
        own = terms(utterance.text)
        others = [phrase for phrase in pool if phrase not in own and f" {phrase} " not in f" {utterance.text} "]
        drawn = Random(utterance.id).sample(others, min(most, len(others)))
        found.append(Heard(utterance, log_probs_TV, own, [*own, *drawn]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("model")
    parser.add_argument("--terms", choices=TERMS, default="rare")
    parser.add_argument("--list", type=Path, help="phrases of yours, one a line, in place of --terms")
    parser.add_argument("--form", choices=FORMS, default="float32")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    paths = Paths(options.folder)
    bundle = Bundle.load(paths.export(options.model))
    data = PreparedData.load(paths.prepared, sample_rate_hz=bundle.frontend.sample_rate_hz)
    decoder = OnnxDecoder(data, bundle)
    recogniser = decoder.open(bundle.folder / FORMS[options.form])
    most = DISTRACTORS
    if options.list is None:
        terms = TERMS[options.terms]([utterance.text for utterance in data.split("train")])
        everybody = [utterance for split in ("train", "valid", "test") for utterance in data.split(split)]
        pool = sorted({term for utterance in everybody for term in terms(utterance.text)})
    else:
        pool = [phrase.text for phrase in read_hotwords(options.list, BOOSTS[0], bundle.tokens)]
        terms, most = standing_in(pool), len(pool)
    if not any(terms(utterance.text) for utterance in data.split("valid")):
        sys.exit(f"no term stands in a validation utterance of {options.folder}: try other --terms, or another --list")
    parts = {}
    for split in ("valid", "test"):
        utterances = data.split(split)
        posteriors = (recogniser.log_probs(data.waveform(utterance)) for utterance in utterances)
        parts[split] = with_lists(utterances, posteriors, terms, pool, most)
    rows = [row for kind in ("greedy", "beam") for row in rows_of(bundle, parts["valid"], parts["test"], kind)]
    table = pd.DataFrame(rows)
    listed = [len(heard.phrases) - len(heard.terms) for part in parts.values() for heard in part]
    print(
        f"{options.model} of {options.folder.name}: {len(pool)} {options.list or options.terms} terms in all, "
        f"{min(listed)} to {max(listed)} distractors in a list"
    )
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"), flush=True)
    if options.out is not None:
        shown(table).to_csv(options.out, index=False)


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """As a page shows it: percentages, with the intervals of the test part; of some terms alone, their own errors."""

    def cell(row: "pd.Series[Any]", name: str) -> str:
        found = f"{100 * row[name]:.1f} %"
        low, high = (row.get(f"{name}_{end}", math.nan) for end in ("low", "high"))
        return found if math.isnan(low) else f"{found} ({100 * low:.1f} to {100 * high:.1f})"

    rows = []
    for _, row in table.iterrows():
        rest = row["terms"] == "all"
        rows.append(
            {
                "part": "validation" if row["part"] == "valid" else "test",
                **{name: row[name] for name in ("search", "terms", "boost", "phrases")},
                "recall": cell(row, "recall"),
                "B-WER": cell(row, "b_wer"),
                "U-WER": cell(row, "u_wer") if rest else "",
                "WER": cell(row, "wer") if rest else "",
            }
        )
    return pd.DataFrame(rows)


def rows_of(bundle: Bundle, valid: Sequence[Heard], test: Sequence[Heard], kind: str) -> Iterable[dict[str, Any]]:
    boost, rows = chosen(bundle, valid, kind)
    yield from rows
    for tried in (0.0, boost):
        for name, wanted in kinds_of_terms(test).items():
            own = [Heard(h.utterance, h.log_probs_TV, [t for t in h.terms if wanted(h, t)], h.phrases) for h in test]
            counts = counts_of(bundle, own, kind, tried)
            found = {"search": kind, "part": "test", "terms": name, "boost": tried, **rates(reduce(add, counts))}
            yield found | (intervals(own, counts) if found["phrases"] else {})


if __name__ == "__main__":
    main()
