"""Each model's exported forms: errors, gate, bytes, times, gathered for the report and the model cards."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.metric_names import plain_errors
from tasks.onnx.form_files import read_released
from tasks.runner.paths import Paths

TITLES = {
    "float32": "32-bit floats",
    "float16": "16-bit weights",
    "int8_dynamic": "8 bits, dynamic",
    "int8_static": "8 bits, static",
    "int8_mixed": "8 bits, mixed",
}


@dataclass(frozen=True)
class FormRow:
    """One form of one model.

    gate: released.json's entry; errors: forms.json's; contents: export.json's, empty where float32 is the only
    form; timing: timings.json's.
    """

    model: str
    form: str
    gate: Mapping[str, Any]
    errors: Mapping[str, Any]
    contents: Mapping[str, Any]
    timing: Mapping[str, float]

    @property
    def title(self) -> str:
        return TITLES[self.form]

    @property
    def float_layers(self) -> str:
        """Kinds of the layers that have 32 bits, with their number: `2 GRU, 4 Conv`."""
        kinds = [name.rsplit("/", 1)[-1] for name in self.contents.get("layers_in_float32", ())]
        return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


def read_forms(paths: Paths, model: str, timings: Mapping[str, Any]) -> list[FormRow]:
    """All forms of a model, float32 first. Raises ValueError where a form was not timed or not evaluated."""
    released = read_released(paths.export(model))["forms"]
    contents = json.loads((paths.export(model) / "export.json").read_text(encoding="utf-8"))["forms"]
    errors = json.loads((paths.evaluation(model) / "forms.json").read_text(encoding="utf-8"))["forms"]
    for stage, known in (("evaluate", errors), ("profile", timings["forms"][model])):
        if missing := released.keys() - known.keys():
            raise ValueError(f"{model} has forms that stage {stage} does not know: {', '.join(missing)}. Run it again")
    return [
        FormRow(model, form, gate, plain_errors(errors[form]), contents.get(form, {}), timings["forms"][model][form])
        for form, gate in released.items()
    ]
