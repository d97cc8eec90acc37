"""The vocabulary of a problem."""

from pathlib import Path

import pytest

from tasks.data.preparation.vocabulary import build_vocabulary
from tasks.params.pipeline import KeywordProblem, TranscriptionProblem


def test_a_single_class_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(ValueError, match="the training part has one class alone, 'yes'"):
        build_vocabulary(KeywordProblem(kind="keyword"), ["yes", "yes"], Path())
    assert build_vocabulary(KeywordProblem(kind="keyword"), ["yes", "no"], Path()).tokens == ("no", "yes")


def test_a_table_of_tokens_is_taken_over_from_the_corpus_folder(tmp_path: Path) -> None:
    units = {"kind": "tokens", "file": "tokens.txt", "alphabet": "ab "}
    problem = TranscriptionProblem.model_validate({"kind": "transcription", "units": units})
    with pytest.raises(ValueError, match=r"^problem.units.file: .*tokens.txt: no such file"):
        build_vocabulary(problem, [], tmp_path)
    (tmp_path / "tokens.txt").write_text("▁A 0\nB 1\nA 2\n<blk> 3\n", encoding="utf-8")
    vocabulary = build_vocabulary(problem, [], tmp_path)
    assert vocabulary.tokens == ("<blk>", "▁a", "b", "a")
    assert vocabulary.encode("ab") == [1, 2]
    (tmp_path / "tokens.txt").write_text("<blk> 0\nB 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"^problem.units.file: .*tokens.txt: no token is 'a' alone"):
        build_vocabulary(problem, [], tmp_path)
