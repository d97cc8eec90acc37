"""Recognisers that give text: each kind of teacher by its `source`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.listeners.bundle import Bundle
from tasks.listeners.command import Command
from tasks.listeners.listener import Clip, Listener, Transcription
from tasks.listeners.own import Own
from tasks.listeners.table import Table
from tasks.listeners.whisper import Whisper

__all__ = ["LISTENERS", "Clip", "Listener", "Transcription"]

# source -> (its parameters, the project's folder) -> a recogniser
LISTENERS: dict[str, Callable[[Any, Path], Listener]] = {
    "whisper": Whisper,
    "torchaudio": Bundle,
    "table": Table,
    "command": Command,
    "model": Own,
}
