"""How transcripts are written, as the parameters say."""

from kd.text.writing import Writing
from tasks.params.pipeline import Params


def writing_of(params: Params, *, any_character: bool = False) -> Writing:
    """any_character: the alphabet, too, is left out of it, as it is of keywords."""
    alphabet = None if params.problem.kind == "keyword" else params.problem.units.alphabet
    settings = params.preprocess
    return Writing(
        None if any_character else alphabet,
        settings.lowercase,
        settings.strip_punctuation,
        settings.language,
        settings.replace,
    )
