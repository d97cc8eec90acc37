"""The vocabulary of a problem, from its parameters and the training transcripts."""

import io
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path

from kd.text.token_table import take_over
from kd.text.vocabulary import Vocabulary
from tasks.data.token_file import read_token_table
from tasks.params.errors import format_value
from tasks.params.pipeline import CharacterUnits, KeywordProblem, SentencePieceUnits, TokenUnits, TranscriptionProblem


def build_vocabulary(
    problem: TranscriptionProblem | KeywordProblem, training_texts: Iterable[str], corpus: Path
) -> Vocabulary:
    """Labels and SentencePiece units are those of the training part alone; characters those of the alphabet.

    corpus: the folder in which a table of tokens lies that is taken over.
    """
    if isinstance(problem, KeywordProblem):
        labels = sorted(set(training_texts))
        if not labels:
            raise ValueError(
                "no training utterance has a transcript, so there are no labels to learn: add some that have"
            )
        if len(labels) == 1:
            raise ValueError(
                f"the training part has one class alone, {format_value(labels[0])}: whatever is said, that is the "
                "answer, and always right. Expected two or more; spellings that differ in case or punctuation "
                "are one class"
            )
        return Vocabulary.labels(labels)
    match problem.units:
        case CharacterUnits(alphabet=alphabet):
            return Vocabulary.characters(alphabet)
        case SentencePieceUnits() as units:
            return Vocabulary.sentencepiece(train_sentencepiece(training_texts, units))
        case TokenUnits(file=file, alphabet=alphabet):
            try:
                return Vocabulary.taken_over(take_over(read_token_table(corpus / file), alphabet))
            except ValueError as error:
                raise ValueError(f"problem.units.file: {error}") from None


def train_sentencepiece(texts: Iterable[str], units: SentencePieceUnits) -> str:
    """A unigram or BPE model in base64: the same for the same texts in the same order.

    Every character of the alphabet has a unit, so no text within it is unknown. Raises ValueError where
    the texts do not bear so many units.
    """
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type=units.type,
            vocab_size=units.size,
            required_chars=units.alphabet.replace(" ", ""),
            character_coverage=1.0,
            normalization_rule_name="identity",
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            num_threads=1,
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        raise ValueError(
            f"no SentencePiece model of {units.size} units can be learnt from the training transcripts: {error}. "
            "Set problem.units.size to what the message allows, or use kind: characters"
        ) from None
    return b64encode(model.getvalue()).decode()
