"""What stands in for Hugging Face's hub: a server of ours that answers as the hub does."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

TREE = "/api/datasets/me/x/tree/refs/convert/parquet"
FRENCH = ["fr/partial-train", "fr/test", "fr/validation", "fr/other"]


class Hub(BaseHTTPRequestHandler):
    """Answers as the hub does about one data set, me/x, with one file on the branch of Parquet files."""

    data = b""
    asked: ClassVar[list[str]] = []
    file = "en/train/0000.parquet"
    folders: ClassVar[dict[str, list[str]]] = {TREE: ["en", "fr"], f"{TREE}/en": ["en/train"], f"{TREE}/fr": FRENCH}

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path == "/api/datasets/me/x/revision/refs/convert/parquet":
            self.reply({"_id": "1", "id": "me/x", "sha": "c" * 40, "siblings": []})
        elif path.rstrip("/") in self.folders:
            inside = self.folders[path.rstrip("/")]
            self.reply([{"type": "directory", "oid": "b" * 40, "path": name} for name in inside])
        elif path == f"{TREE}/en/train":
            self.reply([{"type": "file", "oid": "a" * 40, "size": len(self.data), "path": self.file}])
        elif path == f"/datasets/me/x/resolve/refs/convert/parquet/{self.file}":
            first, last = self.headers["Range"].removeprefix("bytes=").split("-")
            self.asked.append(self.headers["Range"])
            self.send(206, self.data[int(first) : int(last) + 1])
        else:
            self.send(404, b"{}")

    def reply(self, answer: Any) -> None:
        self.send(200, json.dumps(answer).encode())

    def send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if status == 404:
            self.send_header("X-Error-Code", "EntryNotFound" if "/me/x/" in self.path else "RepoNotFound")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def hub_of(data: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """The hub whose one file holds this."""
    monkeypatch.setattr(Hub, "data", data)
    monkeypatch.setattr(Hub, "asked", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        yield Hub
        server.shutdown()
