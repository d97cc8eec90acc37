"""All forms of one exported model: written, held at the gate, released or put aside."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

import pandas as pd

from kd.runtime.bundle import Bundle
from tasks.data.prepared import PreparedData, Utterance, spread_over_lengths
from tasks.metric_names import ERROR_KINDS
from tasks.onnx.form_files import BEST_INT8, FILES, REFUSED, RELEASED
from tasks.onnx.forms_table import REFERENCE, closeness, decoded, make_table
from tasks.onnx.onnx_decoder import OnnxDecoder
from tasks.onnx.parity import Parity
from tasks.onnx.quantise.convert import Quantiser, write_half
from tasks.onnx.quantise.gate import GateResult, check_form
from tasks.onnx.quantise.layers import contents
from tasks.onnx.quantise.mixed import first_that_passes, sensitivity
from tasks.params.export import smaller_forms
from tasks.params.pipeline import Params
from tasks.runner.atomic_io import write_whole
from tasks.runner.reporter import Reporter

MIXED = "int8_mixed"


@dataclass
class Maker:
    """Makes the forms of the float32 file in `folder`; `compare` tells how far a float16 file lies from PyTorch."""

    params: Params
    folder: Path
    decoder: OnnxDecoder
    compare: Callable[[Path], Parity]
    tried: list[dict[str, Any]] = field(default_factory=list)

    @property
    def error_kind(self) -> str:
        return ERROR_KINDS[self.decoder.bundle.problem]

    @cached_property
    def valid(self) -> tuple[Utterance, ...]:
        return self.decoder.data.split("valid")

    @cached_property
    def calibration(self) -> list[Utterance]:
        return spread_over_lengths(self.valid, self.params.export.calibration_utterances)

    def make(self, reporter: Reporter) -> tuple[pd.DataFrame, dict[str, GateResult]]:
        """Write all forms; gives their validation table, and the gate's judgements."""
        feeds = [self.decoder.feed(utterance) for utterance in self.calibration]
        with Quantiser(self.folder / FILES[REFERENCE], feeds) as quantiser:
            for form in reporter.progress(smaller_forms(self.params.export), label="make forms"):
                self._write(quantiser, form)
            table = self._table(smaller_forms(self.params.export))
            judgements = {form: self._judge(table, form) for form in (REFERENCE, *smaller_forms(self.params.export))}
            whole = [found for form, found in judgements.items() if form.startswith("int8")]
            if whole and self.params.export.mixed and not any(found.released for found in whole):
                best = min(whole, key=lambda found: found.valid_error)
                reporter.say(f"no 8-bit form passes ({best.form} {best.reason}): looking for layers to leave in float")
                if (mixed := self._mix(quantiser, best.form, reporter)) is not None:
                    table = pd.concat([table, mixed[mixed["form"] == MIXED]], ignore_index=True)
                    judgements[MIXED] = self._judge(table, MIXED)
        return table, judgements

    def _write(self, quantiser: Quantiser, form: str) -> None:
        target = self.folder / FILES[form]
        if form == "float16":
            write_half(self.folder / FILES[REFERENCE], target)
        else:
            quantiser.write(form, target, quantiser.layers(form))

    def _table(self, forms: tuple[str, ...]) -> pd.DataFrame:
        recognisers = {form: self.decoder.open(self.folder / FILES[form]) for form in (REFERENCE, *forms)}
        return make_table(decoded(self.decoder, recognisers, self.valid))

    def _judge(self, table: pd.DataFrame, form: str) -> GateResult:
        fault = self.half.fault if form == "float16" else ""
        return check_form(table, form, self.params.evaluation, fault)

    @cached_property
    def half(self) -> Parity:
        return self.compare(self.folder / FILES["float16"])

    def _mix(self, quantiser: Quantiser, form: str, reporter: Reporter) -> pd.DataFrame | None:
        """Try the form with more and more of its touchiest layers in float; gives the rows of what passed."""
        source, target = self.folder / FILES[REFERENCE], self.folder / FILES[MIXED]
        divergences = sensitivity(quantiser, form, source, self.decoder, self.calibration)
        passed: list[pd.DataFrame] = []

        def passes(left: Any) -> bool:
            quantiser.write(form, target, [layer for layer in divergences if layer not in left])
            table = self._table((MIXED,))
            found = self._judge(table, MIXED)
            self.tried.append({"of": form, "left_in_float": list(left), **found.described(self.error_kind)})
            passed.append(table)
            return found.released

        left = first_that_passes(list(divergences), passes)
        self.tried.insert(0, {"of": form, "divergence_nats_of_one_layer": divergences})
        if left is None:
            reporter.say("no mixed form passes either: train the model on with training.qat: int8")
            target.unlink(missing_ok=True)
            return None
        return passed[-1]


def make_forms(
    params: Params,
    data: PreparedData,
    bundle: Bundle,
    compare: Callable[[Path], Parity],
    reporter: Reporter,
) -> dict[str, Any]:
    """Write the forms of bundle.folder/model.onnx, and released.json; gives the facts of each for export.json."""
    folder = bundle.folder
    _clear(folder)
    maker = Maker(params, folder, OnnxDecoder(data, bundle), compare)
    table, judgements = maker.make(reporter)
    facts = {form: _facts(folder / FILES[form], table, form) for form in judgements}
    if "float16" in facts:
        facts["float16"]["parity"] = {"max_abs_difference": maker.half.difference, "allowed": maker.half.allowed}
    files = {form: _put_away(folder, form, found.released) for form, found in judgements.items()}
    whole = [found for form, found in judgements.items() if form.startswith("int8") and found.released]
    best = min(whole, key=lambda found: (found.valid_error, facts[found.form]["size_bytes"]), default=None)
    if best is not None:
        write_whole(folder / BEST_INT8, (folder / files[best.form]).read_bytes())
    margin = params.evaluation.margin.model_dump(mode="json")
    described = {form: {"file": files[form], **found.described(maker.error_kind)} for form, found in judgements.items()}
    write_released(folder, {
        "margin": margin,
        "confidence": params.evaluation.confidence,
        "decided_on": f"{len(maker.valid)} validation utterances",
        "best_int8": None if best is None else best.form,
        "forms": described,
        "tried": maker.tried,
    })  # fmt: skip
    for form, found in judgements.items():
        if form != REFERENCE:
            reporter.say(f"{form}: {'released' if found.released else 'REFUSED'}, {found.reason}")
    return facts


def write_released(folder: Path, found: Mapping[str, Any]) -> None:
    """Write what the gate found to released.json."""
    write_whole(folder / RELEASED, json.dumps(found, indent=1) + "\n")


def only_reference(folder: Path) -> None:
    """released.json where float32 is the only form: nothing was held at the gate."""
    _clear(folder)
    forms = {REFERENCE: {"file": FILES[REFERENCE], "released": True, "reason": "the only form"}}
    write_released(folder, {"best_int8": None, "forms": forms, "tried": []})


def _clear(folder: Path) -> None:
    """Take away what an earlier run has left: which forms there are may have changed."""
    for file in (*(folder / name for form, name in FILES.items() if form != REFERENCE), folder / BEST_INT8):
        file.unlink(missing_ok=True)
    shutil.rmtree(folder / REFUSED, ignore_errors=True)


def _put_away(folder: Path, form: str, released: bool) -> str:
    """Where the form's file lies now, relative to the folder."""
    name = FILES[form]
    if released:
        return name
    (folder / REFUSED).mkdir(exist_ok=True)
    (folder / name).replace(folder / REFUSED / name)
    return f"{REFUSED}/{name}"


def _facts(file: Path, table: pd.DataFrame, form: str) -> dict[str, Any]:
    """What export.json says of a form: bytes, what stayed float, closeness to float32 (null: it gives no numbers)."""
    found = contents(file)
    close = {key: value if isfinite(value) else None for key, value in closeness(table, form).items()}
    return {
        "size_bytes": file.stat().st_size,
        "share_of_weights_8_bit": found.share_8_bit,
        "layers_in_float32": list(found.float_layers),
        **close,
    }
