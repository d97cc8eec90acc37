"""`transcribe` with what users know about words: a list of all there are, and hotwords."""

from pathlib import Path

import pytest
from spoken_digits import Spoken, lines, write

from kd.runtime.program import main
from kd.text.metrics import word_edits


def test_beam_search_with_a_word_list_hears_digits_alone(
    digits_export: Path, heard: list[Spoken], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = "zero one two three four five six seven eight nine"
    (tmp_path / "digits.txt").write_text(digits)
    files = [write(tmp_path / f"{i}.wav", spoken) for i, spoken in enumerate(heard)]
    errors = {}
    for name, options in (("greedy", []), ("beam", ["--beam", "12", "--words", str(tmp_path / "digits.txt")])):
        assert main(["transcribe", str(digits_export), *files, *options]) == 0
        found = [line.split("\t")[1] for line in lines(capsys)]
        errors[name] = sum(word_edits(s.text, text).errors for s, text in zip(heard, found, strict=True))
    assert {word for text in found for word in text.split()} <= set(digits.split())
    assert errors["beam"] < errors["greedy"]


@pytest.mark.parametrize("search", [[], ["--beam", "12"]])
def test_hotwords_are_written_more_often_and_too_much_boost_harms_the_rest(
    digits_export: Path, heard: list[Spoken], tmp_path: Path, capsys: pytest.CaptureFixture[str], search: list[str]
) -> None:
    """Recall of two digits, and words that are neither, at no boost, at some and at far too much."""
    (tmp_path / "names.txt").write_text("# two of ten\nnine\nFive\n")
    files = [write(tmp_path / f"{i}.wav", spoken) for i, spoken in enumerate(heard)]
    named, rest = [], []
    for boost in ("0.01", "1", "30"):
        options = ["--hotwords", str(tmp_path / "names.txt"), "--hotword-boost", boost]
        assert main(["transcribe", str(digits_export), *files, *search, *options]) == 0
        texts = [line.split("\t")[1].split() for line in lines(capsys)]
        pairs = list(zip([spoken.text.split() for spoken in heard], texts, strict=True))
        counts = [sum(min(a.count(word), b.count(word)) for a, b in pairs) for word in ("nine", "five")]
        named.append(sum(counts))
        rest.append(sum(word not in ("nine", "five") for _, text in pairs for word in text))
    assert named[1] >= named[0]
    assert named[2] > named[0]
    assert rest[2] < rest[0]
