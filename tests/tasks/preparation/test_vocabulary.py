"""The vocabulary of a problem."""

import pytest

from tasks.params.pipeline import Keyword
from tasks.preparation.vocabulary import build_vocabulary


def test_a_single_class_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(ValueError, match="the training part has one class alone, 'yes'"):
        build_vocabulary(Keyword(kind="keyword"), ["yes", "yes"])
    assert build_vocabulary(Keyword(kind="keyword"), ["yes", "no"]).tokens == ("no", "yes")
