import math
from itertools import groupby, product
from math import prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd.text.decoding import DECODERS, ctc_beam, ctc_greedy, keyword


def logits_of(*paths: list[int], units: int = 4) -> torch.Tensor:
    """Logits whose likeliest path is the given one; shorter paths are padded with unit 1."""
    longest = max(map(len, paths))
    indices = torch.tensor([path + [1] * (longest - len(path)) for path in paths])
    return 5.0 * torch.nn.functional.one_hot(indices, units).float()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ([1, 1, 0, 1, 2, 2], [1, 1, 2]),
        ([0, 0, 0], []),
        ([3], [3]),
        ([2, 2, 2], [2]),
        ([0, 1, 0, 0, 1, 0], [1, 1]),
        ([1, 2, 1], [1, 2, 1]),
    ],
)
def test_hand_worked_paths(path: list[int], expected: list[int]) -> None:
    assert ctc_greedy(logits_of(path), torch.tensor([len(path)])) == [expected]


@given(st.lists(st.lists(st.integers(0, 3), max_size=12), min_size=1, max_size=4))
def test_equals_a_walk_over_frames(paths: list[list[int]]) -> None:
    def walk(path: list[int]) -> list[int]:
        return [unit for i, unit in enumerate(path) if unit != 0 and (i == 0 or path[i - 1] != unit)]

    if max(map(len, paths)) == 0:
        paths[0] = [0]
    lengths = torch.tensor([len(path) for path in paths])
    assert ctc_greedy(logits_of(*paths), lengths) == [walk(path) for path in paths]


def test_padding_is_never_looked_at() -> None:
    logits = logits_of([1, 2], [3, 3])
    logits[0, 1:] = float("nan")
    assert ctc_greedy(logits, torch.tensor([1, 2])) == [[1], [3]]


def test_probabilities_decode_as_logits_do() -> None:
    logits = torch.randn(3, 9, 4, generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([9, 4, 0])
    assert ctc_greedy(logits.softmax(2), lengths) == ctc_greedy(logits, lengths)


def test_keyword_takes_the_likeliest_label_and_has_no_blank() -> None:
    assert keyword(torch.tensor([[[9.0, 1, 2]], [[0.0, 1, 2]]]), torch.ones(2, dtype=torch.long)) == [[0], [2]]


def test_keyword_refuses_many_frames() -> None:
    with pytest.raises(ValueError, match="one frame each"):
        keyword(torch.zeros(2, 3, 4), torch.ones(2, dtype=torch.long))


@pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS)
def test_refuses_nan_and_wrong_lengths(decode) -> None:
    logits = torch.zeros(2, 1, 4)
    logits[1, 0, 2] = float("nan")
    with pytest.raises(ValueError, match=r"utterances \[1\].*diverged"):
        decode(logits, torch.tensor([1, 1]))
    with pytest.raises(ValueError, match="exceed the 1 frames"):
        decode(torch.zeros(2, 1, 4), torch.tensor([1, 2]))
    with pytest.raises(ValueError, match="do not fit"):
        decode(torch.zeros(2, 1, 4), torch.tensor([1]))


def every_transcript(logits_TV: torch.Tensor) -> dict[tuple[int, ...], float]:
    """Probability of each transcript: the sum over all paths that collapse to it."""
    probs = logits_TV.double().softmax(-1).tolist()
    found: dict[tuple[int, ...], float] = {}
    for path in product(range(logits_TV.shape[1]), repeat=len(logits_TV)):
        transcript = tuple(unit for unit, _ in groupby(path) if unit != 0)
        found[transcript] = found.get(transcript, 0.0) + prod(probs[t][v] for t, v in enumerate(path))
    return found


def test_a_beam_that_holds_everything_sums_over_every_alignment() -> None:
    logits = 2 * torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(3))
    for b, length in enumerate((5, 3)):
        expected = every_transcript(logits[b, :length])
        found = ctc_beam(logits, torch.tensor([5, 3]), beam=1000, least_probability=0.0)[b]
        assert {tuple(units): math.exp(score) for units, score in found} == pytest.approx(expected, rel=1e-9)
        scores = [score for _, score in found]
        assert scores == sorted(scores, reverse=True)


def test_a_beam_finds_what_the_best_path_misses() -> None:
    """Graves et al. 2006, fig. 2's case: blank is likeliest in both frames (0.6 * 0.6), '1' in sum (1 - 0.36)."""
    logits = torch.tensor([[[0.6, 0.4], [0.6, 0.4]]]).log()
    assert ctc_greedy(logits, torch.tensor([2])) == [[]]
    ((first, second),) = ctc_beam(logits, torch.tensor([2]), beam=2)
    assert first == ([1], pytest.approx(math.log(0.64)))
    assert second == ([], pytest.approx(math.log(0.36)))


def test_a_narrow_beam_gives_as_many_as_it_holds_and_ignores_padding() -> None:
    logits = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(1))
    logits[1, 4:] = float("nan")
    wide, narrow = (ctc_beam(logits, torch.tensor([9, 4]), beam=beam) for beam in (500, 3))
    assert [len(one) for one in narrow] == [3, 3]
    for few, many in zip(narrow, wide, strict=True):
        exact = {tuple(units): score for units, score in many}
        assert all(score <= exact[tuple(units)] + 1e-9 for units, score in few)
    assert ctc_beam(logits, torch.tensor([9, 0]), beam=3)[1] == [([], 0.0)]
