"""eSpeak NG through ctypes: text to samples, the same bytes at any time and in any order.

eSpeak NG is GPL-3. It is loaded at run time from the optional package `espeakng-loader`, and no part of it
is linked to or kept in this project.
"""

import ctypes
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# espeak-ng/speak_lib.h
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_RATE, _PITCH = 1, 3
_UTF8 = 1

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_LONGEST_PATH = 140  # eSpeak NG 1.52 found its data under a path of 140 characters, and not of 180


@dataclass(frozen=True)
class EspeakFiles:
    library: str
    data: str


@contextmanager
def espeak_files() -> Iterator[EspeakFiles]:
    """Where the library and its voices lie; under a short name for as long as the block runs.

    Raises ModuleNotFoundError with the remedy where the package is missing.
    """
    try:
        import espeakng_loader
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "corpus.kind: synthetic needs eSpeak NG, which is not installed. Install it (GPL-3) by "
            "`pip install espeakng-loader`, or set corpus.kind to manifest, torchaudio or fsdd."
        ) from None
    library, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    if len(data) <= _LONGEST_PATH:
        yield EspeakFiles(library, data)
        return
    with tempfile.TemporaryDirectory(prefix="espeak") as folder:
        link = Path(folder) / "data"
        link.symlink_to(data, target_is_directory=True)
        yield EspeakFiles(library, str(link))


class Espeak:
    """An initialised engine. Each utterance is spoken in a fork of it, so none can change the next.

    Without the fork the bytes depend on what was said before in the same process.
    """

    def __init__(self, files: EspeakFiles) -> None:
        self._library = ctypes.CDLL(files.library)
        rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, files.data.encode(), _DONT_EXIT)
        if rate <= 0:
            raise RuntimeError(f"eSpeak NG found no voices in {files.data}: is the package espeakng-loader damaged?")
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else the time of day seeds breath and noise
        ctypes.CDLL(None).srand(1)
        self.sample_rate_hz = int(rate)

    def say(self, text: str, voice: str, words_per_minute: int, pitch: int) -> bytes:
        """Little-endian 16-bit samples of `text`. `voice` is such as `gmw/en-US+f3`; `pitch` is 0 to 100."""
        return _in_fork(lambda: self._say(text, voice, words_per_minute, pitch), f"'{text}' by the voice {voice}")

    def _say(self, text: str, voice: str, words_per_minute: int, pitch: int) -> bytes:
        sound: list[bytes] = []

        def keep(samples: int | None, count: int, _events: int | None) -> int:
            if samples and count > 0:
                sound.append(ctypes.string_at(samples, 2 * count))
            return 0

        callback = _Callback(keep)  # held here: eSpeak keeps no reference
        encoded = text.encode()
        self._library.espeak_SetSynthCallback(callback)
        failed = (
            self._library.espeak_SetVoiceByName(voice.encode())
            or self._library.espeak_SetParameter(_RATE, words_per_minute, 0)
            or self._library.espeak_SetParameter(_PITCH, pitch, 0)
            or self._library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, _UTF8, None, None)
        )
        if failed:
            raise RuntimeError(f"eSpeak NG answers {failed}")
        return b"".join(sound)


def _in_fork(make: Callable[[], bytes], what: str) -> bytes:
    """The bytes that `make` returns in a copy of this process."""
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of threads (NumPy's, idle); the child runs eSpeak alone and leaves by _exit.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read_end)
            with os.fdopen(write_end, "wb") as pipe:
                pipe.write(make())
            status = 0
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        made = pipe.read()
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise RuntimeError(f"eSpeak NG failed to say {what} (exit status {os.waitstatus_to_exitcode(status)})")
    return made
