"""A model's errors on the test part as recorded and under every condition of the evaluation's defaults.

    python benchmarks/conditions.py FOLDER MODEL…

FOLDER holds data/prepared/ and models/MODEL/ (a project's folder, or a study's cell). Models are exported afresh and
scored through kd.runtime, all test utterances under every condition. In brackets: the error over that as recorded.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs from a checkout, by its path alone

from rich.console import Console
from rich.table import Table

from tasks.checkpoint import load_checkpoint
from tasks.data.prepared import PreparedData
from tasks.evaluation.conditions import condition_errors, condition_table
from tasks.onnx.float32 import write_float32
from tasks.onnx.onnx_decoder import OnnxDecoder
from tasks.params.evaluation import EvaluationParams
from tasks.runner.paths import Paths
from tasks.runner.reporter import NullReporter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="+")
    options = parser.parse_args()
    paths = Paths(options.folder)
    data = PreparedData.load(paths.prepared)
    settings = EvaluationParams(condition_utterances=len(data.split("test")))
    found = {model: errors(data, paths.model(model), settings) for model in options.models}
    table = Table("condition", *options.models)
    for condition in next(iter(found.values())):
        cells = (f"{own[condition]:.1%} ({own[condition] / own['as recorded']:.2f})" for own in found.values())
        table.add_row(condition, *cells)
    Console(width=60 + 20 * len(found)).print(table)


def errors(data: PreparedData, model: Path, settings: EvaluationParams) -> dict[str, float]:
    """Error rates by condition, as recorded first."""
    with tempfile.TemporaryDirectory() as folder:
        decoder = OnnxDecoder(data, write_float32(load_checkpoint(model), Path(folder)))
        recogniser, test = decoder.open(Path(folder) / "model.onnx"), data.split("test")
        edits = [decoder.edits(utterance, decoder.transcribe(recogniser, utterance)) for utterance in test]
        recorded = sum(found.errors for found in edits) / sum(found.reference_units for found in edits)
        under = condition_errors(condition_table(decoder, settings, NullReporter()))
    return {"as recorded": recorded, **{name.removeprefix("test_error/"): value for name, value in under.items()}}


if __name__ == "__main__":
    main()
