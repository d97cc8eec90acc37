"""Tables and recordings at addresses: http by a server of our own, s3 by moto's, hf by what stands in for the hub."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from manifests import KEEP_ALL

from tasks.data.remote import AbsentError, beside, fetched, matching, scheme_of
from tasks.stages import corpus


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder; what is called forbidden is."""

    def do_GET(self) -> None:
        if "forbidden" in self.path:
            self.send_error(403)
        else:
            super().do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def speech(project: Any, address: str) -> dict[str, Any]:
    """A NeMo manifest at an address, of recordings beside it: 6 good ones, one that is not there."""
    names = [project.record(f"store/wav/{i}.flac").removeprefix("store/") for i in range(6)]
    rows = [{"audio_filepath": name, "text": "one two", "speaker": name} for name in names]
    rows += [{"audio_filepath": "wav/gone.flac", "text": "one", "speaker": names[0]}]
    rows += [{"audio_filepath": names[0], "offset": 0.2, "duration": 0.5, "text": "one", "speaker": names[0]}]
    (project.recordings / "store/all.json").write_text("\n".join(map(json.dumps, rows)))
    (project.root / "nothing").touch()
    return {"kind": "nemo", "root": "nothing", "files": {"all": f"{address}/all.json"}}


def check_prepared(project: Any, address: str) -> None:
    """All are kept but what is not there; the row of the table has the address, and no copy is left."""
    assert list(project.quarantine().values()) == ["missing_file"]
    said = (project.paths.prepared / "quarantine.csv").read_text()
    assert f"there is nothing at {address}/wav/gone.flac" in said
    assert len(project.table()) == 7
    assert set(project.table()["source"]) == {f"{address}/wav/{i}.flac" for i in range(6)}
    assert not project.paths.fetched.exists()


def test_paths_and_addresses_are_told_apart():
    paths = {
        "s3://b/a": "s3",
        "gs://b/a": "gs",
        "hf://datasets/n/a": "hf",
        "http://h/a": "http",
        "/a": None,
        "c://d": None,
    }
    assert {path: scheme_of(path) for path in paths} == paths
    assert beside("s3://bucket/lists/train.json", "wav/a.wav") == "s3://bucket/lists/wav/a.wav"
    assert beside("s3://bucket/train.json", "gs://other/a.wav") == "gs://other/a.wav"


def test_a_corpus_over_http(project):
    with served(project.recordings / "store") as address:
        settings = speech(project, address)
        project.prepare(corpus=settings, preprocess=KEEP_ALL)
        check_prepared(project, address)


def test_a_store_that_refuses_or_is_not_there_is_one_line_and_what_was_fetched_stays(project, tmp_path):
    with served(project.recordings / "store") as address:
        (project.recordings / "store").mkdir(parents=True)
        settings = speech(project, address)
        with pytest.raises(
            ValueError, match=f"{address}/forbidden.json cannot be read: 403.*Is there a connection"
        ) as e:
            fetched(f"{address}/forbidden.json", tmp_path)
        assert "\n" not in str(e.value)
        with pytest.raises(AbsentError):
            fetched(f"{address}/gone", tmp_path)
        table = project.recordings / "store/all.json"
        forbidden = json.dumps({"audio_filepath": "wav/forbidden.flac", "text": "one"})
        table.write_text(f"{table.read_text()}\n{forbidden}\n")
        with pytest.raises(ValueError, match=rf"utterance all-0000009-forbidden: {address}/wav/forbidden.flac cannot"):
            project.prepare(corpus=settings, preprocess=KEEP_ALL)
        assert len(list(project.paths.fetched.iterdir())) == 6
        with pytest.raises(ValueError, match=r"corpus\.files\.all: nothing is called .*/no\*\.json"):
            corpus.run(project.params(corpus=settings | {"files": {"all": f"{address}/no*.json"}}), project.paths)
        with pytest.raises(ValueError, match=rf"{address}/gone.json: there is no such file"):
            corpus.run(project.params(corpus=settings | {"files": {"all": f"{address}/gone.json"}}), project.paths)
        (project.recordings / "store/bad.json").write_text("{\n")
        with pytest.raises(ValueError, match=rf"^{address}/bad.json, line 1 is not JSON"):
            corpus.run(project.params(corpus=settings | {"files": {"all": f"{address}/bad.json"}}), project.paths)
    with pytest.raises(ValueError, match=f"{address}/all.json cannot be read: .*Is there a connection"):
        corpus.run(project.params(corpus=settings), project.paths)


@pytest.fixture
def s3(project, monkeypatch):
    """A bucket `speech` that holds corpus/store, on moto's server; nobody has credentials yet."""
    why = "make test installs it (requirements-test.lock)"
    s3fs, moto = pytest.importorskip("s3fs", reason=why), pytest.importorskip("moto.server", reason=why)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(project.root / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(project.root / "none"))
    server = moto.ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    s3fs.S3FileSystem.clear_instance_cache()
    yield s3fs
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def test_a_corpus_on_s3(project, s3, monkeypatch):
    settings = speech(project, "s3://speech")
    with monkeypatch.context() as known:
        known.setenv("AWS_ACCESS_KEY_ID", "one")
        known.setenv("AWS_SECRET_ACCESS_KEY", "two")
        files = s3.S3FileSystem()
        files.mkdir("speech")
        files.put(f"{project.recordings}/store/", "speech", recursive=True)
        project.prepare(corpus=settings, preprocess=KEEP_ALL)
        check_prepared(project, "s3://speech")
        assert matching("s3://speech/wav/*.flac") == [f"s3://speech/wav/{i}.flac" for i in range(6)]
    s3.S3FileSystem.clear_instance_cache()
    with pytest.raises(ValueError, match=r"^s3://speech/all\.json cannot be read: .*AWS_ACCESS_KEY_ID") as said:
        corpus.run(project.params(corpus=settings), project.paths)
    assert "\n" not in str(said.value)
    print(said.value)


@pytest.mark.skipif(find_spec("gcsfs") is not None, reason="the extra gs is installed")
def test_a_missing_extra_is_one_line_that_names_it(tmp_path):
    with pytest.raises(ValueError, match=r"^gs://speech/a\.wav: .*It needs the extra gs: pip install -e '\.\[gs\]'"):
        fetched("gs://speech/a.wav", tmp_path)
