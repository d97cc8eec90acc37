"""Cuts that lhotse wrote, in manifests, in Shar folders and as a data folder of Kaldi: read as lhotse reads them."""

import gc
from typing import Any

import numpy as np
import pytest
from manifests import KEEP_ALL

from tasks.data.corpora.raw import RawUtterance, read_raw
from tasks.stages import corpus

lhotse = pytest.importorskip("lhotse", reason="make test installs it (requirements-test.lock)")
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),  # lhotse leaves its archives to be collected
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def recording(project: Any, name: str, suffix: str = "flac", **more: Any) -> Any:
    """As lhotse describes it, with a path relative to the corpus's root."""
    file = project.record(f"wav/{name}.{suffix}", **more)
    found = lhotse.Recording.from_file(project.recordings / file, recording_id=name)
    found.sources[0].source = file
    return found


def supervision(name: str, of: str, start: float, duration: float, text: str | None = "one two") -> Any:
    return lhotse.SupervisionSegment(name, of, start, duration, text=text, speaker=f"speaker-{name}")


def cuts_of(project: Any, count: int = 6, suffix: str = "flac") -> Any:
    """A whole recording each, of a second."""
    records = [recording(project, f"r{i}", suffix) for i in range(count)]
    said = [supervision(f"s{i}", f"r{i}", 0.0, 1.0) for i in range(count)]
    return lhotse.CutSet.from_manifests(
        lhotse.RecordingSet.from_recordings(records), lhotse.SupervisionSet.from_segments(said)
    )


def settings(name: str = "cuts.jsonl.gz") -> dict[str, Any]:
    return {"kind": "lhotse", "root": "corpus", "files": {"all": name}}


def read(project: Any, name: str = "cuts.jsonl.gz") -> list[RawUtterance]:
    corpus.run(project.params(corpus=settings(name)), project.paths)
    return list(read_raw(project.paths.raw / "utterances.parquet"))


def samples_by_lhotse(project: Any, cut: Any) -> np.ndarray:
    cut.recording.sources[0].source = str(project.recordings / cut.recording.sources[0].source)
    return cut.load_audio()[0]


def test_a_manifest_of_cuts(project):
    whole = cuts_of(project)
    long = recording(project, "long", seconds=4.0)
    several = [supervision("a", "long", 0.5, 1.0, "one"), supervision("b", "long", 2.0, 1.5, "two")]
    window = lhotse.MonoCut("window", 0.25, 3.5, 0, several, recording=long)
    mute = lhotse.MonoCut("mute", 1.0, 0.5, 0, recording=long)
    lhotse.CutSet.from_cuts([*whole, window, mute]).to_file(project.recordings / "cuts.jsonl.gz")
    rows = read(project)
    assert [(r.path, r.start_s, r.end_s) for r in rows[5:]] == [
        ("wav/r5.flac", None, None),
        ("wav/long.flac", 0.75, 1.75),
        ("wav/long.flac", 2.25, 3.75),
        ("wav/long.flac", 1.0, 1.5),
    ]
    assert [(r.id, r.text, r.speaker) for r in rows[6:]] == [
        ("a", "one", "speaker-a"),
        ("b", "two", "speaker-b"),
        ("mute", None, None),
    ]
    project.prepare(corpus=settings(), preprocess=KEEP_ALL)
    assert project.quarantine() == {"mute": "missing_text"}
    for cut, name in ((window.trim_to_supervisions()[1], "b"), (next(iter(whole)), rows[0].id)):
        assert np.abs(project.samples(name) / 32768 - samples_by_lhotse(project, cut)).max() < 1e-4


def test_a_shar_folder_that_lhotse_wrote(project):
    whole = cuts_of(project)
    absolute = lhotse.CutSet.from_cuts([cut.with_recording_path_prefix(str(project.recordings)) for cut in whole])
    (project.recordings / "shar").mkdir()
    absolute.to_shar(project.recordings / "shar", fields={"recording": "flac"}, shard_size=4)
    assert len(list((project.recordings / "shar").glob("recording.*.tar"))) == 2
    rows = read(project, "shar")
    assert {r.root for r in rows} == {"data/raw"}
    assert (project.paths.raw / rows[0].path).read_bytes().startswith(b"fLaC")
    project.prepare(corpus=settings("shar"), preprocess=KEEP_ALL)
    assert project.quarantine() == {}
    for cut in whole:
        assert np.abs(project.samples(cut.id) / 32768 - samples_by_lhotse(project, cut)).max() < 1e-4
    shard = sorted((project.recordings / "shar").glob("recording.*.tar"))[1]
    shard.write_bytes(shard.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"shar, cut 5 cannot be read: .*Write it again by lhotse"):
        read(project, "shar")
    shard.unlink()
    with pytest.raises(ValueError, match=r"shar: 2 shards of cuts .* and 1 of recordings"):
        read(project, "shar")
    gc.collect()


def test_cuts_that_are_no_stretch_of_one_recording_are_put_aside(project):
    whole = list(cuts_of(project))
    stereo = project.write("wav/stereo.wav", np.random.default_rng(0).uniform(-0.1, 0.1, (16_000, 2)))
    two = lhotse.Recording.from_file(project.recordings / stereo)
    odd = {
        "mixed": whole[0].append(whole[1]).with_id("mixed"),
        "faster": whole[0].perturb_speed(1.1).with_id("faster"),
        "left": lhotse.MonoCut("left", 0, 1.0, 0, recording=two),
        "bare": lhotse.MonoCut("bare", 0, 1.0, 0),
    }
    lhotse.CutSet.from_cuts([*whole, *odd.values()]).to_file(project.recordings / "cuts.jsonl.gz")
    project.prepare(corpus=settings(), preprocess=KEEP_ALL | {"unlabelled": "keep"})
    expected = {"mixed": "unreadable", "faster": "unreadable", "left": "unreadable", "bare": "missing_file"}
    assert project.quarantine() == expected
    said = (project.paths.prepared / "quarantine.csv").read_text()
    assert "cuts.jsonl.gz, cut 7: a MixedCut is made of several recordings: write such cuts to files" in said


def test_what_holds_no_cuts_or_would_run_something_is_refused(project, tmp_path):
    cut = next(iter(cuts_of(project)))
    lhotse.RecordingSet.from_recordings([cut.recording]).to_file(project.recordings / "recordings.jsonl.gz")
    with pytest.raises(ValueError, match=r"recordings\.jsonl\.gz, row 1 is a Recording, not a cut: make cuts"):
        read(project, "recordings.jsonl.gz")
    cut.recording.sources[0].type, cut.recording.sources[0].source = "command", f"touch {tmp_path}/ran"
    lhotse.CutSet.from_cuts([cut]).to_file(project.recordings / "cuts.jsonl.gz")
    with pytest.raises(
        ValueError, match=r"cuts\.jsonl\.gz, cut 1: .* is the output of a command, and commands are not"
    ):
        read(project)
    assert not (tmp_path / "ran").exists()
    (project.recordings / "cuts.jsonl").write_text('{"id": "a"\n')
    with pytest.raises(ValueError, match=r"cuts\.jsonl, cut 1 cannot be read: "):
        read(project, "cuts.jsonl")
    with pytest.raises(ValueError, match=r"no such file\. corpus\.files\.all is relative to"):
        read(project, "nowhere.jsonl")
    (project.recordings / "cuts.yaml").touch()
    with pytest.raises(ValueError, match=r"cuts\.yaml: cuts end in \.jsonl or \.jsonl\.gz: write them by"):
        read(project, "cuts.yaml")


def test_a_data_folder_of_kaldi_that_lhotse_wrote(project):
    from lhotse.kaldi import export_to_kaldi

    cuts = cuts_of(project, suffix="wav")  # of others it writes commands
    records, said, _ = cuts.decompose()
    export_to_kaldi(records, said, project.recordings / "data", map_underscores_to=None)
    folder = {"kind": "kaldi", "root": "corpus", "folders": {"all": "data"}}
    project.prepare(corpus=folder, preprocess=KEEP_ALL)
    table = project.table().set_index("id")
    assert set(table.index) == {f"s{i}" for i in range(6)}
    assert set(table["speaker"]) == {f"speaker-s{i}" for i in range(6)}
    assert set(table["text"]) == {"one two"}
