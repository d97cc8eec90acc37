"""The synthetic corpus: same seed, same bytes; voices and variants of one split are in no other."""

import ctypes
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from tasks.data.corpora.espeak import espeak_files, say
from tasks.data.corpora.raw import SPLITS
from tasks.data.corpora.voices import divide_voices

COMMANDS = {"kind": "grammar", "slots": [["please", ""], ["open", "close"], ["the door"]]}


def corpus_of(**changes):
    return {
        "kind": "synthetic",
        "root": "corpora",
        "phrases": [{"kind": "digits", "length": [2, 3]}, COMMANDS],
        "utterances": {"train": 8, "valid": 4, "test": 4},
        "speakers": {"train": 6, "valid": 2, "test": 3},
        **changes,
    }


def make(project, **changes) -> pd.DataFrame:
    from tasks.stages import corpus

    corpus.run(project.params(corpus=corpus_of(**changes)), project.paths)
    return project.raw()


@pytest.fixture
def espeak():
    with espeak_files() as files:
        yield lambda *order: say(files, *order)[0]


def test_same_seed_same_bytes_other_seed_other_bytes(project, other_project):
    make(project)
    make(other_project)
    first, second = project.bytes_of(project.paths.raw), other_project.bytes_of(other_project.paths.raw)
    assert [name for name in first if first[name] != second[name]] == []
    assert sum(name.endswith(".flac") for name in first) == 16
    make(other_project, seed=2)
    other = other_project.bytes_of(other_project.paths.raw)
    assert all(first[name] != other[name] for name in first)


def test_more_utterances_leave_the_others_as_they_were(project, other_project):
    make(project)
    make(other_project, utterances={"train": 12, "valid": 4, "test": 4})
    first, second = project.bytes_of(project.paths.raw), other_project.bytes_of(other_project.paths.raw)
    assert all(first[name] == second[name] for name in first if name.startswith("audio/"))


def test_rows_say_what_is_heard(project):
    table = make(project)
    assert table["split"].value_counts().to_dict() == {"train": 8, "valid": 4, "test": 4}
    assert table["speaker"].nunique() == 6 + 2 + 3
    digits, commands = 0, 0
    for row in table.itertuples():
        sound, rate_hz = soundfile.read(project.paths.raw / row.path)
        assert rate_hz == 22_050
        assert 0.5 < len(sound) / rate_hz < 5
        assert np.abs(sound).max() <= 0.951
        words = row.text.split()
        commands += "door" in words
        digits += "door" not in words and 2 <= len(words) <= 3
    assert digits + commands == 16
    assert min(digits, commands) > 0
    snr = table["snr_db"].dropna()
    assert snr.between(5, 25).all()
    assert len(snr) > 8


def test_the_users_own_phrases(project):
    (project.root / "corpora").mkdir()
    (project.root / "corpora" / "mine.txt").write_text("# commands\nraise the anchor\n\n set  sail \n")
    table = make(project, phrases=[{"kind": "list", "file": "mine.txt"}])
    assert set(table["text"]) == {"raise the anchor", "set sail"}
    with pytest.raises(ValueError, match=r"other\.txt: no such list of phrases"):
        make(project, phrases=[{"kind": "list", "file": "other.txt"}])


def test_a_phrase_without_sound_is_named(project):
    with pytest.raises(ValueError, match="makes no sound of the phrase ''"):
        make(project, phrases=[{"kind": "grammar", "slots": [[""]]}])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("speakers", [(60, 12, 24), (2, 1, 1), (200, 8, 30)])
def test_voices_and_variants_of_a_split_are_in_no_other(seed, speakers):
    with espeak_files() as files:
        names = divide_voices(Path(files.data), dict(zip(SPLITS, speakers, strict=True)), np.random.default_rng(seed))
    assert tuple(len(set(names[split])) for split in SPLITS) == speakers
    for a, b in combinations(SPLITS, 2):
        for part in (0, 1):
            assert not {n.split("+")[part] for n in names[a]} & {n.split("+")[part] for n in names[b]}


@pytest.mark.parametrize("split", SPLITS)
def test_too_many_speakers_are_refused(split):
    speakers = {"train": 5, "valid": 5, "test": 5, split: 999}
    with espeak_files() as files, pytest.raises(ValueError, match=rf"corpus\.speakers\.{split} is 999.*at most"):
        divide_voices(Path(files.data), speakers, np.random.default_rng(0))


def test_what_was_said_before_does_not_matter(espeak):
    orders = [
        ("open the door", f"gmw/en-US+{variant}", 160, 50) for variant in ("whisper", "f2", "klatt4", "Demonic", "m3")
    ]
    forwards = [espeak(*order) for order in orders]
    backwards = [espeak(*order) for order in reversed(orders)]
    assert forwards == backwards[::-1]
    assert espeak("open the door", "gmw/en-US+whisper", 160, 51) != forwards[0]


def test_an_engine_in_use_elsewhere_is_refused(espeak):
    with espeak_files() as files:
        other = ctypes.CDLL(files.library)
        try:
            with pytest.raises(RuntimeError, match="in use elsewhere"):
                espeak("yes", "gmw/en+f1", 160, 50)
        finally:
            ctypes.CDLL(None).dlclose(ctypes.c_void_p(other._handle))
        assert espeak("yes", "gmw/en+f1", 160, 50)


def test_no_two_voices_are_the_same_under_two_names(espeak):
    with espeak_files() as files:
        names = divide_voices(Path(files.data), dict.fromkeys(SPLITS, 1), np.random.default_rng(0))
        voices = sorted(p.name for p in (Path(files.data) / "lang" / "gmw").glob("en*") if p.name != "en-Shaw")
    sounds = {espeak("open the door in the hall", f"gmw/{voice}", 160, 50) for voice in voices}
    assert len(sounds) == len(voices)
    used = {name.split("+")[0] for split in SPLITS for name in names[split]}
    assert used <= set(voices)
    plain, shavian = (espeak("open the door", f"gmw/{voice}", 160, 50) for voice in ("en", "en-Shaw"))
    assert plain == shavian


def test_an_unknown_voice_is_an_error(espeak):
    with pytest.raises(RuntimeError, match=r"failed to say 'hello' by the voice gmw/nowhere"):
        espeak("hello", "gmw/nowhere", 160, 50)


def test_long_paths_get_a_short_name(tmp_path, monkeypatch):
    import espeakng_loader

    deep = tmp_path / ("d" * 120) / ("e" * 60)
    deep.parent.mkdir()
    deep.symlink_to(espeakng_loader.get_data_path(), target_is_directory=True)
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(deep))
    with espeak_files() as files:
        assert len(files.data) < 140
        assert say(files, "yes", "gmw/en+f1", 160, 50)


def test_without_the_package_the_remedy_is_named(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install -e .\.\[synthetic\]. .*or choose another corpus.kind"):
        make(project)
    assert not project.paths.raw.exists()
