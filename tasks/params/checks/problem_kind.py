"""Corpora, alphabet, preparation and exports against the problem: transcription or keywords."""

from collections.abc import Iterator

from kd.text.writing import Writing, format_characters, lower
from tasks.params.pipeline import Params
from tasks.params.writing import writing_of


def kind_problems(params: Params) -> Iterator[str]:
    """One line for each mistake in what a kind of problem cannot be asked for."""
    corpora = {"corpus": params.corpus}
    corpora |= {f"evaluation.canary.{name}.corpus": canary.corpus for name, canary in params.evaluation.canary.items()}
    for key, corpus in corpora.items():
        if params.problem.kind == "keyword" and corpus.kind == "fsdd" and corpus.connected is not None:
            yield (
                f"{key}.connected: strings of digits are no keywords, each would be a label of its own; "
                "remove connected, or use problem.kind: transcription"
            )
    if params.problem.kind != "transcription":
        if params.export.audio_file:
            yield "export.audio_file: sherpa-onnx transcribes, and this problem is keyword: set it to false"
        return
    yield from _alphabet_problems(params.problem.units.alphabet, writing_of(params))
    if params.preprocess.too_long != "quarantine":
        yield (
            f"preprocess.too_long: {params.preprocess.too_long} would part transcripts from their audio; "
            "use quarantine, or problem.kind: keyword"
        )


def _alphabet_problems(alphabet: str, writing: Writing) -> Iterator[str]:
    """What no transcript could ever hold, so that a unit is learnt from nothing or all transcripts are put aside."""
    never = writing.never_written()
    capitals = [c for c in never if writing.lowercase and c != lower(c, writing.language)]
    if capitals:
        yield (
            f"problem.units.alphabet: holds capitals, which preprocess.lowercase leaves in no transcript "
            f"({format_characters(capitals)}); write them small, or set lowercase: false"
        )
    if others := [c for c in never if c not in capitals]:
        yield (
            f"problem.units.alphabet: {format_characters(others)} can never be written: invisible characters, tabs and "
            "line ends are left out of transcripts, and what preprocess.replace replaces; remove them from it"
        )
    if writing.lowercase and writing.language is None and "\u0131" in alphabet:
        yield (
            "problem.units.alphabet: holds '\u0131', whose capital I becomes i unless preprocess.language says "
            "otherwise; set it: tr or az, or another such as en where I shall become i"
        )
