"""The section of params.yaml: every other line stays as it is, and nothing is written that would say something else."""

import pytest
import yaml

from tasks.data.importing.section import section_text, with_section, write_section

SETTINGS = {"kind": "kaldi", "root": "corpora/é", "folders": {"all": "data/train"}}
SECTION = "corpus:\n  kind: kaldi\n  root: corpora/é\n  folders:\n    all: data/train\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a: 1\ncorpus:  # old\n  # of it\n  y: [1,\n  2]\n\n# of b\nb: 2\n", f"a: 1\n{SECTION}\n# of b\nb: 2\n"),
        ("corpus: {kind: x}\nb: 2\n", f"{SECTION}b: 2\n"),
        ("a: 1\ncorpus:\n  kind: x\n", f"a: 1\n{SECTION}"),
        ("a: 1\n", f"a: 1\n\n{SECTION}"),
    ],
)  # fmt: skip
def test_only_the_section_is_replaced(before, after):
    assert section_text(SETTINGS) == SECTION
    assert with_section(before, SECTION) == after


def test_a_file_that_would_say_something_else_stays_as_it_was(tmp_path):
    file = tmp_path / "params.yaml"
    for text in ("{a: 1, corpus: {kind: x}}\n", "a: 1\n'corpus':\n  kind: x\nb: 2\n"):
        file.write_text(text)
        with pytest.raises(
            ValueError, match="the section corpus does not stand on lines of its own: put what is shown"
        ):
            write_section(file, SETTINGS)
        assert file.read_text() == text
        assert [f.name for f in tmp_path.iterdir()] == ["params.yaml"]
    file.write_text("a: 1\ncorpus: {kind: x}\n")
    write_section(file, SETTINGS)
    assert yaml.safe_load(file.read_text()) == {"a": 1, "corpus": SETTINGS}
