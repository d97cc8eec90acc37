"""Each kind of corpus has settings, a generator and a row in the guide; `kd import` knows those of other tools."""

from pathlib import Path
from typing import get_args

from tasks.data.corpora.several import SINGLE
from tasks.data.importing.recognise import KINDS
from tasks.params import corpus_formats
from tasks.params.corpora import OneCorpus

GUIDE = Path(__file__).parents[4] / "docs" / "guide.md"


def kinds() -> dict[str, type]:
    return {get_args(c.model_fields["kind"].annotation)[0]: c for c in get_args(get_args(OneCorpus)[0])}


def test_each_kind_has_settings_a_generator_and_a_row_in_the_guide():
    assert set(kinds()) == set(SINGLE)
    text = GUIDE.read_text(encoding="utf-8")
    assert [kind for kind in kinds() if f"\n| `{kind}` | " not in text] == []


def test_import_knows_the_formats_of_other_tools():
    assert {kind for kind, c in kinds().items() if c.__module__ == corpus_formats.__name__} == KINDS - {"manifest"}
