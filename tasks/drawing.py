"""Pictures, saved without a word about letters that matplotlib's own font lacks."""

import warnings
from pathlib import Path
from typing import IO, Any

from matplotlib.figure import Figure

LACKS = (r"Glyph \d+ .*missing from", r"Matplotlib currently does not support .* natively")


def save(figure: Figure, file: Path | IO[Any], **options: Any) -> None:
    """As `Figure.savefig`. Labels, speakers and students may be named in any script: SVG keeps them as text, which
    the reader's fonts draw; a PNG shows boxes."""
    with warnings.catch_warnings():
        for message in LACKS:
            warnings.filterwarnings("ignore", message, UserWarning)
        figure.savefig(file, **options)
