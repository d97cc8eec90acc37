"""Vocabularies: text to unit indices and back. Index 0 is CTC's blank; keywords have none."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, Self

from kd.runtime.words import SPACE, join
from kd.text.pieces import Cut, is_no_piece, make_cut

BLANK_INDEX = 0
"""Of CTC's blank among units, and among logits."""
BLANK_SYMBOL = "<blk>"


@dataclass(frozen=True)
class Vocabulary:
    """Units of one problem.

    kind: `characters` (one unit a character), `sentencepiece` (units of `model`, its serialised
    proto in base64), `tokens` (characters or pieces of words, taken over from another recogniser) or `labels` (one
    unit an utterance, no blank).
    """

    kind: Literal["characters", "sentencepiece", "tokens", "labels"]
    tokens: tuple[str, ...]
    model: str | None = None

    @classmethod
    def characters(cls, alphabet: str) -> Self:
        return cls("characters", (BLANK_SYMBOL, *dict.fromkeys(alphabet)))

    @classmethod
    def labels(cls, labels: Sequence[str]) -> Self:
        return cls("labels", tuple(sorted(set(labels))))

    @classmethod
    def sentencepiece(cls, model: str) -> Self:
        """From a serialised SentencePiece model in base64; its unit i becomes index i + 1."""
        processor = _load_sentencepiece(model)
        return cls("sentencepiece", (BLANK_SYMBOL, *(processor.id_to_piece(i) for i in range(len(processor)))), model)

    @classmethod
    def taken_over(cls, tokens: Sequence[str]) -> Self:
        """Of another recogniser's tokens, the blank first and ▁ for a space (kd.text.token_table)."""
        return cls("tokens", tuple(tokens))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        return cls(data["kind"], tuple(data["tokens"]), data.get("model"))

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "tokens": list(self.tokens), "model": self.model}

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.tokens)}

    @cached_property
    def _processor(self) -> Any:
        assert self.model is not None
        return _load_sentencepiece(self.model)

    def encode(self, text: str) -> list[int]:
        """Unit indices of a normalised text. Raises ValueError naming what is not in the vocabulary."""
        if self.kind == "sentencepiece":
            pieces = [int(i) + 1 for i in self._processor.encode(text)]
            if self._processor.unk_id() + 1 in pieces:
                raise ValueError(
                    f"'{text}' holds characters that the SentencePiece model has no unit for: add them to "
                    "units.alphabet, or map them with preprocess.replace"
                )
            return pieces
        if self.kind == "tokens":
            return [unit for place, word in enumerate(text.split()) for unit in self._encode_word(word, place)]
        units = [text] if self.kind == "labels" else list(text)
        unknown = [unit for unit in units if unit not in self._index or unit == BLANK_SYMBOL]
        if unknown:
            what, remedy = (
                ("label", "give it a training row")
                if self.kind == "labels"
                else ("character", "add it to units.alphabet, or map it with preprocess.replace")
            )
            raise ValueError(f"unknown {what} {', '.join(map(repr, dict.fromkeys(unknown)))}: {remedy}")
        return [self._index[unit] for unit in units]

    def decode(self, indices: Sequence[int]) -> str:
        """Text of unit indices; blanks are skipped, repeats are kept (CTC collapses before)."""
        if self.kind == "labels":
            return " ".join(self.tokens[i] for i in indices)
        if self.kind == "sentencepiece":
            return str(self._processor.decode([int(i) - 1 for i in indices if i != 0]))
        if self.kind == "tokens":
            return join(self.tokens[i] for i in indices if i != 0)
        return "".join(self.tokens[i] for i in indices if i != 0)

    @cached_property
    def _words_begin_with_space(self) -> bool:
        """Whether pieces bring the space before a word, as SentencePiece's do."""
        return any(len(token) > 1 and token[0] == SPACE for token in self.tokens)

    @cached_property
    def _cut(self) -> Cut:
        return make_cut([token for token in self.tokens if not is_no_piece(token)])

    def _encode_word(self, word: str, place: int) -> list[int]:
        """Units of the word at this place of a text, with the space before it."""
        space = SPACE if self._words_begin_with_space or (place and SPACE in self._index) else ""
        pieces = self._cut(space + word)
        if pieces[0] == SPACE and SPACE not in self._index:  # such as before a Chinese character
            pieces = pieces[1:]
        units: list[int] = []
        for piece in pieces:
            spelled = [piece] if piece in self._index else [f"<0x{byte:02X}>" for byte in piece.encode()]
            if not all(token in self._index for token in spelled):
                raise ValueError(f"no token writes {piece!r}: remove it from units.alphabet, or map it with replace")
            units += [self._index[token] for token in spelled]
        return units


def frames_needed(units: Sequence[int]) -> int:
    """Fewest CTC frames that can carry these units: one each, and a blank between equal neighbours."""
    return len(units) + sum(a == b for a, b in pairwise(units))


def _load_sentencepiece(model: str) -> Any:
    from base64 import b64decode

    from sentencepiece import SentencePieceProcessor

    return SentencePieceProcessor(model_proto=b64decode(model))
