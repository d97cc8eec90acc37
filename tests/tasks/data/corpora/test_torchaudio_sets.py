"""torchaudio's data sets, in folders laid out like the real ones."""

import numpy as np
import pytest
import soundfile

from tasks.params.corpora import TorchaudioCorpus
from tasks.stages import corpus


def sound(file) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, np.random.default_rng(list(str(file.name).encode())).uniform(-0.1, 0.1, 16_000), 16_000)


def find(project, dataset: str, **options):
    source = {"kind": "torchaudio", "root": "corpus", "dataset": dataset, **options}
    corpus.run(project.params(corpus=source), project.paths)
    return project.raw()


def test_speech_commands(project):
    folder = project.recordings / "SpeechCommands" / "speech_commands_v0.02"
    for name in ("yes/a_nohash_0", "yes/b_nohash_0", "no/a_nohash_1", "no/c_nohash_0", "_background_noise_/hum"):
        sound(folder / f"{name}.wav")
    (folder / "validation_list.txt").write_text("yes/b_nohash_0.wav\n")
    (folder / "testing_list.txt").write_text("no/c_nohash_0.wav\n")
    table = find(project, "SPEECHCOMMANDS").set_index("id")
    assert table["split"].to_dict() == {"no-a-1": "train", "yes-a-0": "train", "yes-b-0": "valid", "no-c-0": "test"}
    assert table.loc["yes-a-0", ["text", "speaker"]].tolist() == ["yes", "a"]
    assert all((project.recordings / path).is_file() for path in table["path"])


def test_librispeech(project):
    for subset, speaker in (("train-clean-100", 19), ("dev-clean", 84), ("test-clean", 61)):
        folder = project.recordings / "LibriSpeech" / subset / str(speaker) / "198"
        for i in range(2):
            sound(folder / f"{speaker}-198-000{i}.flac")
        (folder / f"{speaker}-198.trans.txt").write_text(
            f"{speaker}-198-0000 CHAPTER ONE\n{speaker}-198-0001 AT LAST\n"
        )
    table = find(project, "LIBRISPEECH")
    assert table["split"].tolist() == ["train", "train", "valid", "valid", "test", "test"]
    assert table["text"].tolist() == ["CHAPTER ONE", "AT LAST"] * 3
    assert table["speaker"].tolist() == ["19", "19", "84", "84", "61", "61"]
    metrics = project.prepare(corpus={"kind": "torchaudio", "root": "corpus", "dataset": "LIBRISPEECH"})
    assert metrics["utterances"] == 6
    with pytest.raises(ValueError, match=r"finds no LIBRISPEECH.*dev-other.*download"):
        find(project, "LIBRISPEECH", subsets=["dev-other"])


def test_yesno(project):
    for name in ("0_0_1_1_0_1_0_1", "1_1_1_1_0_0_0_0"):
        sound(project.recordings / "waves_yesno" / f"{name}.wav")
    table = find(project, "YESNO")
    assert table["text"].tolist() == ["no no yes yes no yes no yes", "yes yes yes yes no no no no"]
    assert table["split"].isna().all()


@pytest.mark.parametrize("given", [{}, {"subsets": []}])
def test_the_subsets_that_are_run_are_recorded(given) -> None:
    values = {"kind": "torchaudio", "root": "c", **given}
    recorded = TorchaudioCorpus.model_validate({**values, "dataset": "LIBRISPEECH"}).model_dump(mode="json")
    assert recorded["subsets"] == ["train-clean-100", "dev-clean", "test-clean"]
    assert TorchaudioCorpus.model_validate({**values, "dataset": "YESNO"}).model_dump(mode="json")["subsets"] == []


def test_what_is_not_there_is_an_error_with_a_remedy(project):
    with pytest.raises(ValueError, match=r"no SPEECHCOMMANDS in .*corpus\.download: true"):
        find(project, "SPEECHCOMMANDS")
    (project.recordings / "waves_yesno").mkdir()
    with pytest.raises(ValueError, match=r"YESNO in .* holds no recording"):
        find(project, "YESNO")


def test_a_failed_download_says_what_to_do(project, monkeypatch):
    import urllib.error

    import torchaudio.datasets.yesno as module

    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(module, "download_url_to_file", refuse)
    with pytest.raises(ValueError, match=r"no route.*fetch it by hand.*corpus\.download: false"):
        find(project, "YESNO", download=True)
