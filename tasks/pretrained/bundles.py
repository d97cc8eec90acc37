"""CTC models of torchaudio.pipelines (wav2vec 2.0, HuBERT) by their name, with weights from a file or downloaded."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

BLANK_SYMBOL = "-"


def find_bundle(name: str) -> Any:
    """torchaudio's description of a bundle. Raises ValueError where the name is no CTC bundle."""
    import torchaudio

    found = getattr(torchaudio.pipelines, name, None)
    if not hasattr(found, "get_labels") or not hasattr(found, "get_model"):
        names = [
            n
            for n in dir(torchaudio.pipelines)
            if "ASR" in n and hasattr(getattr(torchaudio.pipelines, n), "get_model")
        ]
        raise ValueError(f"'{name}' is no CTC bundle of torchaudio.pipelines; there are {', '.join(names)}")
    return found


def bundle_labels(bundle: Any) -> tuple[str, ...]:
    """Its units, the blank first."""
    labels: tuple[str, ...] = bundle.get_labels(blank=BLANK_SYMBOL)
    return labels


def load_bundle(name: str, bundle: Any, file: Path | None, *, downloads: bool = False) -> torch.nn.Module:
    """Its model, in evaluation mode, from a file as torchaudio downloads it; None: where torchaudio keeps its own.

    downloads: a file that is missing is downloaded to. Raises ValueError, in one line, where weights cannot be had.
    """
    if file is not None and not file.is_file() and not downloads:
        raise ValueError(
            f"path {file}: no such file; it should be the weights of {name}: name them, or download them by path: "
            "models/none"
        )
    missing = file is None or not file.is_file()
    place = {} if file is None else {"model_dir": str(file.parent), "file_name": file.name}
    try:
        model: torch.nn.Module = bundle.get_model(dl_kwargs={"progress": False, "weights_only": True, **place})
    except (OSError, RuntimeError, KeyError, EOFError, UnpicklingError) as error:
        told = " ".join(str(error).split())
        if missing:
            raise ValueError(
                f"the weights of {name} cannot be downloaded ({told}): get them where there is a network, "
                "and name the file as path"
            ) from None
        raise ValueError(
            f"the weights of {name} are not those in {file} ({told}): name another file or bundle"
        ) from None
    return model.eval()
