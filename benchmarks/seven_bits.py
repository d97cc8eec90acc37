"""What 7 bits for weights cost, and what 8 do where a processor cuts products off.

python benchmarks/seven_bits.py PROJECT [MODEL ...]: in PROJECT the stages export have run. Of each model (all that
are exported) both 8-bit forms are made anew with 7 and with 8 bits for weights, and transcribe the validation and the
test part twice: with the kernels that this processor has, and with exact ones (ONNX Runtime's
session.x64quantprecision, which are what processors with VNNI compute). Printed per row: errors on either
part, and mean divergence from float32 per frame in nats over both. Writes nothing into PROJECT.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs from a checkout, by its path alone

import onnxruntime
import pandas as pd

from kd.runtime.bundle import Bundle
from kd.runtime.recogniser import Recogniser
from kd.runtime.session import open_session
from tasks.data.prepared import PreparedData, spread_over_lengths
from tasks.onnx.forms_table import REFERENCE, closeness, decoded, error, make_table
from tasks.onnx.onnx_decoder import OnnxDecoder
from tasks.onnx.quantise.convert import Quantiser
from tasks.params.load import load_params
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths

FORMS, BITS, KERNELS = ("int8_dynamic", "int8_static"), (7, 8), ("own", "exact")


def exact_session(path: Path) -> onnxruntime.InferenceSession:
    """The file with unsigned weights, whose kernels lose nothing on any processor."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def hypotheses(params: Params, paths: Paths, name: str, folder: Path) -> pd.DataFrame:
    """Rows of tasks.onnx.forms_table; a form is named FORM BITS KERNELS."""
    data = PreparedData.load(paths.prepared)
    decoder = OnnxDecoder(data, Bundle.load(paths.export(name)))
    source, valid = paths.export(name) / "model.onnx", data.split("valid")
    feeds = [decoder.feed(u) for u in spread_over_lengths(valid, params.export.calibration_utterances)]
    recognisers = {REFERENCE: decoder.open(source)}
    for bits in BITS:
        with Quantiser(source, feeds, reduce_range=bits == BITS[0]) as quantiser:
            for form in FORMS:
                quantiser.write(form, folder / f"{form} {bits}.onnx", quantiser.layers(form))
                for kernels, opened in zip(KERNELS, (open_session, exact_session), strict=True):
                    session = opened(folder / f"{form} {bits}.onnx")
                    recognisers[f"{form} {bits} {kernels}"] = Recogniser(decoder.bundle, session)
    return make_table(decoded(decoder, recognisers, (*valid, *data.split("test"))))


def rows(name: str, table: pd.DataFrame) -> Iterator[str]:
    for form in dict.fromkeys(table["form"]):
        valid, test = (100 * error(table[table["split"] == split], form) for split in ("valid", "test"))
        yield f"{name:<12} {form:<22} {valid:>7.2f} {test:>7.2f} {closeness(table, form)['divergence_nats']:>10.2e}"


def main(root: str, *names: str) -> None:
    paths = Paths(Path(root))
    params = load_params(paths.params)
    chosen: Sequence[str] = names or sorted(folder.name for folder in paths.export("x").parent.iterdir())
    print(f"{'model':<12} {'form, bits, kernels':<22} {'valid %':>7} {'test %':>7} {'divergence':>10}")
    for name in chosen:
        with TemporaryDirectory() as folder:
            print("\n".join(rows(name, hypotheses(params, paths, name, Path(folder)))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
