"""Words into pieces, by a list of pieces alone.

SentencePiece's BPE models list their pieces in the order of their merges, so the list is all that is needed to cut a
word as they do. Of other lists (unigram models, sorted ones) the longest pieces are taken, which are not always those
that the list's maker took.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from kd.runtime.words import is_byte, is_mark

Cut = Callable[[str], list[str]]
"""A word to pieces; a character that is in no piece stands alone."""


def is_no_piece(token: str) -> bool:
    """Whether a token has no letters of its own: a mark, or a byte."""
    return is_mark(token) or is_byte(token)


def make_cut(pieces: Sequence[str]) -> Cut:
    """By merges where every piece is made of two earlier ones or characters, else by the longest pieces."""
    rank = {piece: i for i, piece in enumerate(pieces)}
    if all(_is_merge(piece, rank) for piece in pieces if len(piece) > 1):
        return lambda word: merge(word, rank)
    most = max((len(piece) for piece in pieces), default=1)
    return lambda word: longest(word, rank, most)


def merge(word: str, rank: Mapping[str, int]) -> list[str]:
    """Neighbours are put together, those first whose piece has the lowest rank, and of equal ones the leftmost.

    Byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909, sec. 3.2).
    """
    pieces = list(word)
    while True:
        ranks = [(rank[a + b], place) for place, (a, b) in enumerate(pairwise(pieces)) if a + b in rank]
        if not ranks:
            return pieces
        _, place = min(ranks)
        pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]


def longest(word: str, rank: Mapping[str, int], most: int) -> list[str]:
    """From the left, each time the longest piece of at most so many characters (as WordPiece, arXiv:1609.08144)."""
    pieces: list[str] = []
    while word:
        sizes = range(min(most, len(word)), 0, -1)
        size = next((size for size in sizes if word[:size] in rank), 1)
        pieces.append(word[:size])
        word = word[size:]
    return pieces


def _is_merge(piece: str, rank: Mapping[str, int]) -> bool:
    def earlier(part: str) -> bool:
        return len(part) == 1 or rank.get(part, len(rank)) < rank[piece]

    return any(earlier(piece[:i]) and earlier(piece[i:]) for i in range(1, len(piece)))
