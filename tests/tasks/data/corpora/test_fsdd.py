"""Free Spoken Digit Dataset: both layouts, its splits, strings of one speaker and one split, and the download."""

import http.server
import io
import threading
import zipfile
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import soundfile

from tasks.data.corpora import fetch, fsdd
from tasks.stages import corpus

SPEAKERS = ("george", "jackson", "theo", "yweweler")


def spoken(name: str) -> bytes:
    buffer = io.BytesIO()
    sound = np.random.default_rng(list(name.encode())).uniform(-0.1, 0.1, 3_200)
    soundfile.write(buffer, sound, 8_000, format="WAV")
    return buffer.getvalue()


def names() -> Iterator[str]:
    return (f"{digit}_{speaker}_{index}.wav" for digit in (0, 7) for speaker in SPEAKERS for index in range(12))


def lay_out(project, folder: str = "recordings") -> None:
    (project.recordings / folder).mkdir(parents=True)
    for name in names():
        (project.recordings / folder / name).write_bytes(spoken(name))


def find(project, **options) -> pd.DataFrame:
    corpus.run(project.params(corpus={"kind": "fsdd", "root": "corpus", **options}), project.paths)
    return project.raw()


@pytest.mark.parametrize("folder", ["recordings", "wav", ".", "free-spoken-digit-dataset-master/recordings"])
def test_every_layout_is_found_with_the_official_test_part(project, folder):
    if folder == ".":
        project.recordings.mkdir()
    lay_out(project, folder) if folder != "." else [
        (project.recordings / name).write_bytes(spoken(name)) for name in names()
    ]
    table = find(project).set_index("id")
    assert len(table) == 2 * 4 * 12
    assert set(table["text"]) == {"zero", "seven"}
    assert table.loc[["7_theo_4", "7_theo_5", "7_theo_9", "7_theo_10"], "split"].tolist() == [
        *("test", "valid", "valid", "train")
    ]


def test_leave_one_speaker_out(project):
    lay_out(project)
    table = find(project, test_speaker="yweweler")
    assert table.groupby("speaker")["split"].unique().str[0].to_dict() == {
        "george": "valid",
        "jackson": "train",
        "theo": "train",
        "yweweler": "test",
    }
    table = find(project, test_speaker="theo", valid_speaker="jackson")
    assert set(table.loc[table["split"] == "valid", "speaker"]) == {"jackson"}
    with pytest.raises(ValueError, match=r"test_speaker: no recording of 'bob'; the speakers are george, jackson"):
        find(project, test_speaker="bob")


def test_one_speaker_cannot_be_divided(project):
    (project.recordings / "wav").mkdir(parents=True)
    (project.recordings / "wav" / "0_theo_0.wav").write_bytes(spoken("0_theo_0.wav"))
    with pytest.raises(ValueError, match=r"corpus\.test_speaker: 'theo' is the only speaker"):
        find(project, test_speaker="theo")


CONNECTED = {"length": [2, 4], "pause_s": [0.02, 0.25], "utterances_per_speaker": 24}


def test_strings_keep_to_one_speaker_and_one_split(project):
    lay_out(project)
    single = find(project).set_index("path")
    table = find(project, connected=CONNECTED)
    assert table.groupby("speaker").size().to_dict() == dict.fromkeys(SPEAKERS, 24)
    used: dict[str, int] = {}
    for row in table.itertuples():
        paths = [part["path"] for part in row.parts]
        assert set(single.loc[paths, "speaker"]) == {row.speaker}
        assert set(single.loc[paths, "split"]) == {row.split}
        assert " ".join(single.loc[paths, "text"]) == row.text
        gaps = [part["gap_s"] for part in row.parts]
        assert gaps[0] == 0
        assert all(0.02 <= gap <= 0.25 for gap in gaps[1:])
        for path in paths:
            used[path] = used.get(path, 0) + 1
    assert set(used) == set(single.index)
    assert max(used.values()) - min(used.values()) <= 4


def test_strings_follow_from_the_seed(project):
    lay_out(project)
    first = find(project, connected=CONNECTED)
    pd.testing.assert_frame_equal(first, find(project, connected=CONNECTED))
    assert first["text"].tolist() != find(project, connected=CONNECTED | {"seed": 2})["text"].tolist()


def test_joined_audio_is_its_parts_and_pauses(project):
    lay_out(project)
    settings = {"corpus": {"kind": "fsdd", "root": "corpus", "connected": CONNECTED, "test_speaker": "theo"}}
    project.prepare(**settings, preprocess={"trim_db": None})
    raw, table = project.raw().set_index("id"), project.table().set_index("id")
    assert len(table) == 4 * 24
    for name, row in table.iterrows():
        parts = raw.loc[name, "parts"]
        assert row["duration_s"] == pytest.approx(sum(part["gap_s"] + 0.4 for part in parts), abs=0.001)


def test_a_missing_folder_says_what_to_do(project):
    with pytest.raises(ValueError, match=r"7_jackson_32\.wav.*corpus\.download: true, or unpack https"):
        find(project)


@pytest.fixture
def server() -> Iterator[str]:
    """Serves an archive like GitHub's at /master.zip, a broken one at /broken.zip, and nothing else."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        for name in names():
            target.writestr(f"free-spoken-digit-dataset-master/recordings/{name}", spoken(name))
    bodies = {"/master.zip": archive.getvalue(), "/broken.zip": b"<html>sign in</html>"}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = bodies.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def test_download(project, server, monkeypatch):
    monkeypatch.setattr(fsdd, "URL", f"{server}/master.zip")
    assert len(find(project, download=True)) == 2 * 4 * 12
    monkeypatch.setattr(fsdd, "URL", f"{server}/gone.zip")
    assert len(find(project, download=True)) == 2 * 4 * 12  # what is there is not fetched again


@pytest.mark.parametrize("address", ["gone.zip", "broken.zip"])
def test_a_failed_download_leaves_nothing_and_says_what_to_do(project, server, monkeypatch, address):
    monkeypatch.setattr(fsdd, "URL", f"{server}/{address}")
    with pytest.raises(ValueError, match=rf"cannot fetch the Free.*{address}.*unpack it in .*corpus\.download: false"):
        find(project, download=True)
    assert list(project.recordings.iterdir()) == []


def test_no_connection_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "TIMEOUT_S", 1)
    with pytest.raises(ValueError, match="Is there a connection"):
        fetch.fetch_zip("http://127.0.0.1:9/x.zip", tmp_path, "x")


@pytest.mark.slow
@pytest.mark.parametrize("connected", [None, {"utterances_per_speaker": 20}])
def test_the_real_recordings(project, shared_data, connected):
    source = {"kind": "fsdd", "root": str(shared_data / "fsdd"), "test_speaker": "theo", "connected": connected}
    metrics = project.prepare(corpus=source)
    assert metrics["speakers"] == 6
    assert metrics["utterances"] + metrics["quarantined"] == (120 if connected else 3000)
    assert set(project.quarantine().values()) <= {"not_alignable"}
    assert metrics["quarantined"] < 30
