"""Tables that say one thing of each key, joined on the disk: memory does not grow with them, whatever their order."""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Entry:
    """What a table says of a key, in which line; twice: the line that says something else of it, or None."""

    value: str
    line: int
    twice: int | None


class Keyed:
    """Tables by name, as a context: what they hold goes away at its end."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory()
        self._db = sqlite3.connect(Path(self._folder.name) / "keyed.sqlite", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(
            "CREATE TABLE entry (name TEXT, key TEXT, value TEXT, line INTEGER, twice INTEGER, used INTEGER DEFAULT 0, "
            "PRIMARY KEY (name, key)) WITHOUT ROWID"
        )
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._db.close()
        self._folder.cleanup()

    def add(self, name: str, entries: Iterable[tuple[int, str, str]]) -> int:
        """(line, key, value) of a table; returns their number. The first of several stays; the same again is fine."""
        count = 0
        for line, key, value in entries:
            count += 1
            self._db.execute(
                "INSERT INTO entry (name, key, value, line) VALUES (?, ?, ?, ?) ON CONFLICT (name, key) DO UPDATE SET "
                "twice = coalesce(twice, excluded.line) WHERE value != excluded.value",
                (name, key, value, line),
            )
        return count

    def get(self, name: str, key: str) -> Entry | None:
        """What the table says of a key, which then counts as used."""
        row = self._db.execute(
            "SELECT value, line, twice FROM entry WHERE name = ? AND key = ?", (name, key)
        ).fetchone()
        if row is None:
            return None
        self._db.execute("UPDATE entry SET used = 1 WHERE name = ? AND key = ? AND NOT used", (name, key))
        return Entry(*row)

    def keys(self, name: str) -> Iterator[tuple[str, Entry]]:
        """All of a table, in the order of its lines."""
        yield from self._entries(name, "1")

    def unused(self, name: str) -> Iterator[tuple[str, Entry]]:
        """Those that nobody asked for, in the order of their lines."""
        yield from self._entries(name, "NOT used")

    def _entries(self, name: str, which: str) -> Iterator[tuple[str, Entry]]:
        rows = self._db.execute(
            f"SELECT key, value, line, twice FROM entry WHERE name = ? AND {which} ORDER BY line, key", (name,)
        )
        for key, value, line, twice in rows:
            yield key, Entry(value, line, twice)
