"""What a word list and a bigram of the training transcripts take off a model's WER, through the runtime's beam search.

    python benchmarks/with_words.py FOLDER MODEL

FOLDER holds data/prepared/ and models/MODEL/ (a project's folder, or a study's cell). The model is exported afresh, in
float32, unless `--file` names one of its exported files, such as exports/MODEL/model.int8.onnx.
Words and a Witten-Bell bigram come from the training transcripts alone; weight and bonus are chosen on the validation
part, the test part is scored once with them, and once greedily. Intervals are over speakers.
"""

import argparse
import itertools
import math
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs from a checkout, by its path alone

import numpy as np
import numpy.typing as npt

from kd.runtime.beam import Beam
from kd.runtime.greedy import Greedy
from kd.runtime.scorer import Scorer
from kd.runtime.transcribe import words_of
from kd.stats import error_interval
from tasks.checkpoint import load_checkpoint
from tasks.data.prepared import PreparedData, Utterance
from tasks.onnx.float32 import write_float32
from tasks.onnx.onnx_decoder import OnnxDecoder
from tasks.runner.paths import Paths

BEAM = 24
WEIGHTS = (0.3, 0.6, 1.0)
BONUSES = (0.0, 1.0, 2.0)
START, END = "<s>", "</s>"

LogProbs = npt.NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("model")
    parser.add_argument("--file", type=Path, help="an exported file of the model, in place of a new one in float32")
    options = parser.parse_args()
    paths = Paths(options.folder)
    data = PreparedData.load(paths.prepared)
    with tempfile.TemporaryDirectory() as folder:
        decoder = OnnxDecoder(data, write_float32(load_checkpoint(paths.model(options.model)), Path(folder)))
        recogniser = decoder.open(options.file or Path(folder) / "model.onnx")
        posteriors = {
            split: [(u, recogniser.of_inputs(decoder.inputs(u))) for u in data.split(split)]
            for split in ("valid", "test")
        }
        texts = [utterance.text.split() for utterance in data.split("train")]
        words, arpa = Path(folder) / "words.txt", Path(folder) / "words.arpa"
        words.write_text("\n".join(sorted({word for text in texts for word in text})) + "\n", encoding="utf-8")
        arpa.write_text(bigram(texts), encoding="utf-8")
        kinds: dict[str, list[Scorer]] = {
            "word list": [Scorer.read(None, words, 0.0, bonus) for bonus in BONUSES],
            "word list and bigram": [
                Scorer.read(arpa, words, weight, bonus) for weight, bonus in itertools.product(WEIGHTS, BONUSES)
            ],
        }
    print(f"{options.model} of {options.folder.name}")
    report("greedy", *(scored(decoder, posteriors[split], None) for split in ("valid", "test")))
    for kind, scorers in kinds.items():
        valid = [scored(decoder, posteriors["valid"], scorer) for scorer in scorers]
        best = min(range(len(scorers)), key=lambda i: sum(valid[i][0]))
        name = f"{kind} (weight {scorers[best].weight:g}, bonus {scorers[best].bonus:g})"
        report(name, valid[best], scored(decoder, posteriors["test"], scorers[best]))


Scores = tuple[list[int], list[int], list[str | None]]


def scored(decoder: OnnxDecoder, posteriors: Sequence[tuple[Utterance, LogProbs]], scorer: Scorer | None) -> Scores:
    """Errors, reference words and speaker of each utterance."""
    errors, units = [], []
    for utterance, log_probs_TV in posteriors:
        search = Greedy() if scorer is None else Beam(decoder.bundle.tokens, BEAM, scorer)
        edits = decoder.edits(utterance, " ".join(w.text for w in words_of(decoder.bundle, search, log_probs_TV, 0.0)))
        errors.append(edits.errors)
        units.append(edits.reference_units)
    return errors, units, [utterance.speaker for utterance, _ in posteriors]


def report(name: str, valid: Scores, test: Scores) -> None:
    found = error_interval(*test)
    print(
        f"{name}: validation {sum(valid[0]) / sum(valid[1]):.1%}, test {found.estimate:.1%} "
        f"({found.low:.1%} to {found.high:.1%})",
        flush=True,
    )


def bigram(texts: Iterable[Sequence[str]]) -> str:
    """An ARPA file: Witten-Bell estimates (Witten and Bell 1991, method C), base-10 logarithms."""
    singles: Counter[str] = Counter()
    after: dict[str, Counter[str]] = defaultdict(Counter)
    for text in texts:
        for first, second in itertools.pairwise([START, *text, END]):
            after[first][second] += 1
            singles[second] += 1
    total, kinds = sum(singles.values()), len(singles)
    shares = {word: (count + kinds / (kinds + 1)) / (total + kinds) for word, count in singles.items()}
    return "\n".join([*_lines(shares, after), ""])


def _lines(shares: dict[str, float], after: dict[str, Counter[str]]) -> Iterator[str]:
    pairs = {
        (first, second): (count + len(seen) * shares[second]) / (sum(seen.values()) + len(seen))
        for first, seen in after.items()
        for second, count in seen.items()
    }
    left = {first: 1.0 - sum(shares[second] for second in seen) for first, seen in after.items()}
    taken = {first: 1.0 - sum(pairs[first, second] for second in seen) for first, seen in after.items()}
    yield from ("\\data\\", f"ngram 1={len(shares) + 1}", f"ngram 2={len(pairs)}", "", "\\1-grams:")
    for word in [START, *shares]:
        backoff = math.log10(max(taken[word], 1e-9) / max(left[word], 1e-9)) if word in after else 0.0
        yield f"{math.log10(shares[word]) if word in shares else -99:.5f}\t{word}\t{backoff:.5f}"
    yield from ("", "\\2-grams:")
    yield from (f"{math.log10(share):.5f}\t{first} {second}" for (first, second), share in pairs.items())
    yield from ("", "\\end\\")


if __name__ == "__main__":
    main()
