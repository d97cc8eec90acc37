"""Recognisers that give text: each kind of teacher by its `source`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.teachers.transcribers.bundle import TorchaudioTranscriber
from tasks.teachers.transcribers.checkpoint import ModelTranscriber
from tasks.teachers.transcribers.command import Command
from tasks.teachers.transcribers.onnx import OnnxTranscriber
from tasks.teachers.transcribers.table import Table
from tasks.teachers.transcribers.transcriber import Clip, Transcriber, TranscriberOutput
from tasks.teachers.transcribers.whisper import Whisper

__all__ = ["TRANSCRIBERS", "Clip", "Transcriber", "TranscriberOutput"]

# source -> (its parameters, the project's folder) -> a recogniser
TRANSCRIBERS: dict[str, Callable[[Any, Path], Transcriber]] = {
    "whisper": Whisper,
    "torchaudio": TorchaudioTranscriber,
    "onnx": OnnxTranscriber,
    "table": Table,
    "command": Command,
    "model": ModelTranscriber,
}
