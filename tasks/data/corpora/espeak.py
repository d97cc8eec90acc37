"""eSpeak NG through ctypes: text to samples, the same bytes at any time and in any order.

eSpeak NG is GPL-3. It is loaded at run time from the optional package `espeakng-loader`, and no part of it
is linked to or kept in this project.
"""

import ctypes
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# espeak-ng/speak_lib.h
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_RATE, _PITCH = 1, 3
_UTF8 = 1

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_libc = ctypes.CDLL(None)

_LONGEST_PATH = 140  # eSpeak NG 1.52 found its data under a path of 140 characters, and not of 180


@dataclass(frozen=True)
class EspeakFiles:
    """Paths of eSpeak NG's shared library and of its folder of voices."""

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
            "pip install -e '.[synthetic]' -c requirements.lock, or choose another corpus.kind of docs/guide.md#corpora"
        ) from None
    library, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    if len(data) <= _LONGEST_PATH:
        yield EspeakFiles(library, data)
        return
    with tempfile.TemporaryDirectory(prefix="espeak") as folder:
        link = Path(folder) / "data"
        link.symlink_to(data, target_is_directory=True)
        yield EspeakFiles(library, str(link))


def say(files: EspeakFiles, text: str, voice: str, words_per_minute: int, pitch: int) -> tuple[bytes, int]:
    """Little-endian 16-bit samples of `text`, and their rate in Hz.

    voice: such as `gmw/en-US+f3`. pitch: 0 to 100. Raises RuntimeError naming text and voice where it fails.
    """
    sound: list[bytes] = []

    def keep(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            sound.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _Callback(keep)  # held here: eSpeak keeps no reference
    encoded = text.encode()
    with _fresh_engine(files) as (library, rate_hz):
        library.espeak_SetSynthCallback(callback)
        failed = (
            library.espeak_SetVoiceByName(voice.encode())
            or library.espeak_SetParameter(_RATE, words_per_minute, 0)
            or library.espeak_SetParameter(_PITCH, pitch, 0)
            or library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, _UTF8, None, None)
        )
    if failed:
        raise RuntimeError(
            f"eSpeak NG failed to say '{text}' by the voice {voice} (it answers {failed}). Change the phrase, or "
            "install it again: pip install --force-reinstall espeakng-loader -c requirements.lock"
        )
    return b"".join(sound), rate_hz


@contextmanager
def _fresh_engine(files: EspeakFiles) -> Iterator[tuple[ctypes.CDLL, int]]:
    """The library, newly loaded and initialised, and its sample rate.

    It keeps state that no call resets, so a second utterance would depend on the first. Loading it anew takes
    2 ms, where a fork for each utterance gives the same bytes in 10. Its noise is seeded by the time of day;
    here, by a constant.
    """
    library = ctypes.CDLL(files.library)
    try:
        rate_hz = library.espeak_Initialize(_SYNCHRONOUS, 0, files.data.encode(), _DONT_EXIT)
        if rate_hz <= 0:
            raise RuntimeError(
                f"eSpeak NG found no voices in {files.data}. Install it again: "
                "pip install --force-reinstall espeakng-loader -c requirements.lock"
            )
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        _libc.srand(1)  # Klatt voices take noise from there
        yield library, int(rate_hz)
        library.espeak_Terminate()
    finally:
        _libc.dlclose(ctypes.c_void_p(library._handle))
    if _is_loaded(files.library):
        raise RuntimeError(
            f"{files.library} is in use elsewhere in this process: its sound would not be repeatable. Run the stage "
            "corpus in a process of its own, as kd run does"
        )


def _is_loaded(library: str) -> bool:
    try:
        handle = ctypes.CDLL(library, mode=os.RTLD_NOLOAD)._handle
    except OSError:
        return False
    _libc.dlclose(ctypes.c_void_p(handle))
    return True
