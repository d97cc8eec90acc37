"""Words into pieces, by a list of pieces alone."""

from collections.abc import Mapping, Sequence
from itertools import pairwise


def merge(symbols: Sequence[str], rank: Mapping[str, int]) -> list[str]:
    """Neighbours are put together, those first whose piece has the lowest rank, and of equal ones the leftmost.

    Byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909, sec. 3.2). SentencePiece's models of that kind list
    their pieces in the order of merges, so that the order of a tokens.txt is all that is needed; of any other list
    (unigram models, sorted ones) a segmentation into its pieces comes out, not always the one that its maker had.
    """
    pieces = list(symbols)
    while len(pieces) > 1:
        pairs = [(rank.get(a + b), place) for place, (a, b) in enumerate(pairwise(pieces))]
        found = min(((r, place) for r, place in pairs if r is not None), default=None)
        if found is None:
            break
        place = found[1]
        pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
    return pieces
