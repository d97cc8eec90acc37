"""The vocabulary of a problem."""

from pathlib import Path

import pytest

from tasks.data.preparation.vocabulary import build_vocabulary
from tasks.params.pipeline import KeywordProblem


def test_a_single_class_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(ValueError, match="the training part has one class alone, 'yes'"):
        build_vocabulary(KeywordProblem(kind="keyword"), ["yes", "yes"], Path())
    assert build_vocabulary(KeywordProblem(kind="keyword"), ["yes", "no"], Path()).tokens == ("no", "yes")
