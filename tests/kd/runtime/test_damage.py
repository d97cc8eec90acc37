"""Files that the runtime opens, cut, damaged or of another case: one line each, and exit code 2."""

import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_export import export_tiny

from kd.runtime.bundle import Bundle
from kd.runtime.description import FORMAT
from kd.runtime.errors import RefusedError
from kd.runtime.lexicon import Lexicon
from kd.runtime.ngram import NGram
from kd.runtime.phrases import read_phrases
from kd.runtime.program import main
from kd.runtime.recogniser import Recogniser
from kd.runtime.scorer import Scorer

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
LOWER = ("<blk>", *"abcdefghijklmnopqrstuvwxyz'", "▁")
UPPER = tuple(token.upper() if len(token) == 1 else token for token in LOWER)
ARPA = (
    "\\data\\\nngram 1=4\nngram 2=1\n\n\\1-grams:\n-99 <S> -0.3\n-1.0 </S>\n-0.5 TEN -0.2\n-0.8 FIVE\n-2.0 <UNK>\n\n"
    "\\2-grams:\n-0.1 <S> TEN\n\\end\\\n"
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tiny")
    soundfile.write(root / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(4_000), 16_000)
    return export_tiny(root)


@pytest.fixture
def model(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def refusal(model: Path, whole: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["transcribe", str(model), str(whole.parents[1] / "a.wav")]) == 2
    (line,) = capsys.readouterr().err.strip().split("\n")
    return line


@pytest.mark.parametrize("name", ["model.onnx", "tokens.txt", "export.json"])
def test_a_cut_file_and_a_pointer_are_refused(model: Path, whole: Path, capsys, name: str) -> None:
    data = (model / name).read_bytes()
    for damaged in (data[: len(data) // 2], b"", POINTER.encode()):
        (model / name).write_bytes(damaged)
        line = refusal(model, whole, capsys)
        assert str(model / name) in line
        assert ("git lfs pull" in line) == (damaged == POINTER.encode())


def test_one_other_byte_is_refused(model: Path, whole: Path, capsys) -> None:
    data = bytearray((model / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (model / "model.onnx").write_bytes(data)
    assert "is not the file that export.json describes" in refusal(model, whole, capsys)


def test_a_model_without_digests_is_checked_by_onnx_runtime(model: Path, whole: Path, capsys) -> None:
    """Exports of before have none."""
    description = json.loads((model / "export.json").read_text())
    assert set(description.pop("files")) >= {"model.onnx", "tokens.txt"}
    (model / "export.json").write_text(json.dumps(description))
    Recogniser.load(model)
    data, tokens = (model / "model.onnx").read_bytes(), (model / "tokens.txt").read_text()
    (model / "model.onnx").write_bytes(data[:1_000])
    assert "no ONNX file that ONNX Runtime" in refusal(model, whole, capsys)
    (model / "model.onnx").write_bytes(data)
    (model / "tokens.txt").write_text("".join(tokens.splitlines(keepends=True)[:-1]))
    assert "they are of two exports" in refusal(model, whole, capsys)


EIGHTY_SAMPLES = {
    "kind": "waveform", "sample_rate_hz": 16_000, "num_mels": 80, "frame_length_ms": 0.0625, "frame_shift_ms": 0.0625,
    "low_freq_hz": 0, "high_freq_hz": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("problem", "song"), ("frontend", None), ("frontend", {"sample_rate_hz": 16_000}), ("subsampling", 0)],
        *[("block_frames", 1e9), ("receptive_field_frames", [1]), ("receptive_field_frames", "all"), ("files", [1])],
        *[("frontend_included", "yes"), ("format", 99), ("format", "9" * 10_000), ("frontend", EIGHTY_SAMPLES)],
    ],
)
def test_values_that_make_no_sense_are_refused(model: Path, whole: Path, capsys, key: str, value: object) -> None:
    description = json.loads((model / "export.json").read_text())
    (model / "export.json").write_text(json.dumps({**description, key: value}))
    line = refusal(model, whole, capsys)
    assert key in line
    assert len(line) < 500


def test_a_description_says_what_it_lacks_or_which_format_it_has(model: Path, whole: Path, capsys) -> None:
    file = model / "export.json"
    description = json.loads(file.read_text())
    for change, said in (
        ({"format": 99}, f"{file} has format 99, but format {FORMAT} is read. Export the model again"),
        ({"format": None}, f"{file} has no format, but format {FORMAT} is read. Export the model again"),
        ({"frontend_included": "yes"}, "frontend_included is yes; expected true or false. Copy or export"),
    ):
        file.write_text(json.dumps({**description, **change}))
        assert said in refusal(model, whole, capsys)
    del description["problem"], description["block_frames"]
    file.write_text(json.dumps(description))
    assert f"{file} lacks problem, block_frames. Copy the whole folder, or export" in refusal(model, whole, capsys)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["model.onnx", "tokens.txt", "export.json"]),
    share=st.floats(0, 1),
    patch=st.tuples(st.floats(0, 1), st.binary(max_size=8)),
)
def test_any_damage_of_an_export_is_a_refusal(
    whole: Path, tmp_path: Path, name: str, share: float, patch: tuple[float, bytes]
) -> None:
    if not (tmp_path / "model").exists():
        shutil.copytree(whole, tmp_path / "model")
    sound = (whole / name).read_bytes()
    data = bytearray(sound[: round(share * len(sound))])
    place = round(patch[0] * len(data))
    data[place : place + len(patch[1])] = patch[1]
    (tmp_path / "model" / name).write_bytes(data)
    try:
        if data.strip() != sound.strip():
            try:
                Recogniser.load(tmp_path / "model")
            except RefusedError as error:
                assert "\n" not in str(error)  # noqa: PT017
            else:
                assert name == "export.json"  # which holds no digest of itself, and may say the same otherwise
    finally:
        (tmp_path / "model" / name).write_bytes(sound)


def test_a_byte_order_mark_makes_no_word_deaf(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("\ufeffone\ntwo\n", encoding="utf-8")
    assert Scorer.read(None, tmp_path / "words", 0.5, 0.0, LOWER).words == {"one", "two"}
    assert [phrase.text for phrase in read_phrases(tmp_path / "words", LOWER)] == ["one", "two"]
    (tmp_path / "lm").write_text("\ufeff" + ARPA, encoding="utf-8")
    assert NGram.read(tmp_path / "lm").order == 2


@pytest.mark.parametrize(("tokens", "expected"), [(LOWER, "ten"), (UPPER, "TEN")])
def test_words_are_brought_to_the_models_case(tmp_path: Path, tokens: tuple[str, ...], expected: str) -> None:
    (tmp_path / "words").write_text("Ten\nTEN\nfive\n")
    (tmp_path / "lm").write_text(ARPA)
    scorer = Scorer.read(tmp_path / "lm", tmp_path / "words", 0.5, 0.0, tokens)
    assert scorer.words == {expected, "five" if expected == "ten" else "FIVE"}
    assert scorer.ngram is not None
    assert scorer.ngram.entries[("<s>", expected)] == (-0.1, 0.0)
    assert scorer.ngram.log_prob(expected, ("<s>",)) == pytest.approx(-0.1 * np.log(10))
    assert {"<s>", "</s>", "<unk>"} <= {words[0] for words in scorer.ngram.entries}
    assert [phrase.text for phrase in read_phrases(tmp_path / "words", tokens)] == [expected, scorer_word(expected)]


def scorer_word(case: str) -> str:
    return "FIVE" if case.isupper() else "five"


def test_entries_that_become_one_add_up(tmp_path: Path) -> None:
    (tmp_path / "lm").write_text(ARPA.replace("-0.8 FIVE", "-0.8 Ten -0.1"))
    ngram = Scorer.read(tmp_path / "lm", None, 0.5, 0.0, LOWER).ngram
    assert ngram is not None
    log10, backoff = ngram.entries[("ten",)]
    assert log10 == pytest.approx(np.log10(10**-0.5 + 10**-0.8))
    assert backoff == -0.2


def test_letters_are_brought_to_the_models_normal_form() -> None:
    composed, apart = ("<blk>", "c", "a", "f", "é"), ("<blk>", "c", "a", "f", "e", "\u0301")
    for form in ("NFC", "NFD"):
        word = unicodedata.normalize(form, "CAFÉ")
        assert Lexicon(composed).fit(word) == "caf\u00e9"
        assert Lexicon(apart).fit(word) == "cafe\u0301"


def test_mixed_case_stays_as_it_is() -> None:
    assert Lexicon(("<blk>", "a", "A", "b")).fit("Ab") == "Ab"
    assert Lexicon(("<blk>", "a", "A", "b")).fit("AB") is None


def test_words_that_no_token_spells_are_counted_or_refused(tmp_path: Path, capsys) -> None:
    (tmp_path / "words").write_text("ten 10 naïve five")
    assert Scorer.read(None, tmp_path / "words", 0.5, 0.0, LOWER).words == {"ten", "five"}
    assert "2 of its 4 words can never be recognised: no tokens spell them: '10', 'naïve'" in capsys.readouterr().err
    (tmp_path / "words").write_text("10 20")
    with pytest.raises(RefusedError, match="not one of its 2 words can be spelled"):
        Scorer.read(None, tmp_path / "words", 0.5, 0.0, LOWER)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("words", "eins zwei drei vi\xe9r".encode("latin-1"), "words:1: not UTF-8"),
        ("words", POINTER.encode(), "git lfs pull"),
        ("lm", ARPA.encode()[:-6], r"does not end with \\end\\"),
        ("lm", ARPA.replace("-0.8", "nan").encode(), "'nan' is no finite number"),
        ("lm", ARPA.replace("-0.8", "1e999").encode(), "lm:9"),
        ("lm", ARPA.replace("-0.8", "low").encode(), "'low' is no finite number"),
        ("lm", ARPA.encode("utf-16"), "not UTF-8"),
    ],
)
def test_word_lists_and_language_models_that_are_damaged(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    arpa, words = (tmp_path / name, None) if name == "lm" else (None, tmp_path / name)
    with pytest.raises(RefusedError, match=message):
        Scorer.read(arpa, words, 0.5, 0.0, LOWER)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1), patch=st.tuples(st.floats(0, 1), st.binary(max_size=8)))
def test_any_damage_of_a_language_model_is_a_refusal_or_finite(
    tmp_path: Path, share: float, patch: tuple[float, bytes]
) -> None:
    data = bytearray(ARPA.encode()[: round(share * len(ARPA))])
    place = round(patch[0] * len(data))
    data[place : place + len(patch[1])] = patch[1]
    (tmp_path / "lm").write_bytes(data)
    try:
        ngram = NGram.read(tmp_path / "lm")
    except RefusedError:
        return
    assert np.isfinite(ngram.log_prob("TEN", ("<s>",)))


@given(words=st.lists(st.text(st.characters(exclude_categories=("Zs", "Cc", "Cs")), min_size=1, max_size=8)))
def test_what_a_lexicon_fits_its_tokens_spell(words: list[str]) -> None:
    lexicon = Lexicon((*LOWER, "é", "th", "ing"))
    for word in words:
        fitted = lexicon.fit(word)
        assert fitted is None or lexicon.spells(fitted)
        if fitted is not None:
            assert unicodedata.normalize("NFC", fitted).lower() == unicodedata.normalize("NFC", word).lower()


def test_a_bundle_made_by_hand_needs_no_digests(whole: Path) -> None:
    found = Bundle.load(whole)
    assert found.digests.keys() == {file.name for file in whole.iterdir() if file.is_file()} - {"export.json"}
