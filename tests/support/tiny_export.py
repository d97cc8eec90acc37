"""An exported recogniser that was not trained, in a second and without recordings."""

from pathlib import Path

from exportable import checkpoint_of

from tasks.checkpoint import save_checkpoint
from tasks.params.pipeline import ExportParams, Params
from tasks.runner.paths import Paths
from tasks.stages import export


def export_tiny(root: Path, encoder: str = "cnn", problem: str = "transcription", name: str = "tiny") -> Path:
    """The folder of the export; its tokens are those of `abc '`."""
    paths = Paths(root)
    save_checkpoint(paths.model(name), checkpoint_of(encoder, problem))
    export.run(Params.model_construct(export=ExportParams(forms=("float32",))), paths, name)
    return paths.export(name)
