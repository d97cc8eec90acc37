"""Registers the best student in MLflow's registry: `candidate`, and `champion` for a form of it that passed the gate.

`python -m tasks.tracking.registry`. What is registered is the ONNX file that was measured: it holds no pickle and
takes any number of utterances of any length,
`mlflow.pyfunc.load_model("models:/NAME@champion").predict({"x": features_NTF, "x_lens": lengths_N})`.
(PyTorch's own traced form cannot: torch.export unrolls recurrent layers at the length of its example.)
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from tasks.params.load import load_params
from tasks.params.pipeline import Params
from tasks.runner.paths import Paths
from tasks.runner.telemetry import stay_offline
from tasks.tracking.champion import CANDIDATE, RegistryEntry, wanted
from tasks.tracking.runs import experiment_id, open_store, tracking_uri

SAME = ("dvc_md5", "file_md5")


def due(root: Path, registered_name: str) -> list[RegistryEntry]:
    """What shall be registered and is not: other bytes, or none, stand under its alias."""
    entries = wanted(root)
    if not entries:
        return []
    client = open_store(root)
    return [entry for entry in entries if not _is_there(client, registered_name, entry)]


def register(root: Path, params: Params) -> list[RegistryEntry]:
    """Register what is due; gives it."""
    entries = due(root, params.name)
    if not entries:
        return []
    client = open_store(root)
    experiment = experiment_id(client, root, params.name)
    for entry in entries:
        version = _log(root, entry, params.name, experiment)
        for key, value in entry.tags.items():
            client.set_model_version_tag(params.name, version, key, value)
        card = Paths(root).cards / f"{entry.student}.md"
        if card.is_file():
            client.update_model_version(params.name, version, description=card.read_text(encoding="utf-8"))
        client.set_registered_model_alias(params.name, entry.alias, version)
    return entries


def _is_there(client: Any, model: str, entry: RegistryEntry) -> bool:
    from mlflow.exceptions import MlflowException

    with suppress(MlflowException):
        tags = client.get_model_version_by_alias(model, entry.alias).tags
        return all(entry.tags[key] and tags.get(key) == entry.tags[key] for key in SAME)
    return False


def _log(root: Path, entry: RegistryEntry, registered_name: str, experiment: str) -> str:
    """Log the entry's ONNX file with its tokens and description as a new version; gives its number."""
    import mlflow
    import onnx
    import onnxruntime

    folder = Paths(root).export(entry.student)
    model = onnx.load(entry.file)
    mlflow.set_tracking_uri(tracking_uri(root))
    named = {"run_name": f"register/{entry.student}", "tags": {"kd.kind": "registration", **entry.tags}}
    with mlflow.start_run(experiment_id=experiment, **named):
        logged = mlflow.onnx.log_model(
            model,
            name="model",
            registered_model_name=registered_name,
            signature=_signature(model),
            pip_requirements=[f"onnxruntime=={onnxruntime.__version__}"],
            metadata={
                "form": entry.form,
                "tokens": (folder / "tokens.txt").read_text(encoding="utf-8"),
                "export": json.loads((folder / "export.json").read_text(encoding="utf-8")),
            },
            save_as_external_data=False,
            onnx_execution_providers=["CPUExecutionProvider"],
        )
    return str(logged.registered_model_version)


def _signature(model: Any) -> Any:
    """The file's own inputs and outputs; axes that vary are -1."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec
    from onnx.helper import tensor_dtype_to_np_dtype

    def schema(values: Any) -> Schema:
        specs = []
        for value in values:
            tensor = value.type.tensor_type
            shape = tuple(axis.dim_value if axis.HasField("dim_value") else -1 for axis in tensor.shape.dim)
            specs.append(TensorSpec(np.dtype(tensor_dtype_to_np_dtype(tensor.elem_type)), shape, value.name))
        return Schema(specs)

    return ModelSignature(schema(model.graph.input), schema(model.graph.output))


def main() -> None:
    """Name the candidate and the champion in MLflow's registry, and print which they are."""
    stay_offline()
    root = Path()
    params = load_params(Paths(root).params)
    for entry in register(root, params):
        why = "it has the lowest validation error" if entry.alias == CANDIDATE else f"its form {entry.form} passed"
        print(f"{entry.student} is now {params.name}@{entry.alias} in MLflow's registry: {why}")


if __name__ == "__main__":
    main()
