"""Registers the best student in MLflow's registry under the alias `candidate`. `python -m tasks.candidate`

`champion` is given elsewhere, after further checks. What is registered is the ONNX file that was measured:
it holds no pickle and takes any number of utterances of any length,
`mlflow.pyfunc.load_model("models:/NAME@candidate").predict({"x": features_NTF, "x_lens": lengths_N})`.
(PyTorch's own traced form cannot: torch.export unrolls recurrent layers at the length of its example.)
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tasks.offline import stay_offline
from tasks.params import Params, load_params
from tasks.paths import Paths
from tasks.pipeline_run import model_md5, read_results
from tasks.reporting.choice import best_student
from tasks.tracking import experiment_id, open_store, tracking_uri

ALIAS = "candidate"
MD5_TAG = "dvc_md5"


def best_unregistered(root: Path, registered_name: str) -> str | None:
    """The best student of reports/results.csv, where it is not the candidate yet."""
    name = best_student(read_results(root))
    if name is None:
        return None
    md5 = model_md5(root, name)
    return None if md5 and _registered_md5(open_store(root), registered_name) == md5 else name


def register(root: Path, params: Params) -> str | None:
    """Register the best student, unless it is the candidate already; gives its name if it was registered."""
    name = best_unregistered(root, params.name)
    if name is None:
        return None
    client = open_store(root)
    experiment = experiment_id(client, root, params.name)
    valid_error = next(row["valid_error"] for row in read_results(root) if row["model"] == name)
    tags = {MD5_TAG: model_md5(root, name), "student": name, "valid_error": str(valid_error)}
    version = _log(root, name, params.name, experiment, tags)
    for key, value in tags.items():
        client.set_model_version_tag(params.name, version, key, value)
    client.set_registered_model_alias(params.name, ALIAS, version)
    return name


def _registered_md5(client: Any, model: str) -> str | None:
    from mlflow.exceptions import MlflowException

    with suppress(MlflowException):
        return str(client.get_model_version_by_alias(model, ALIAS).tags.get(MD5_TAG))
    return None


def _log(root: Path, student: str, registered_name: str, experiment: str, tags: Mapping[str, str]) -> str:
    """Log the student's ONNX file with its tokens and description as a new version; gives its number."""
    import mlflow
    import onnx
    import onnxruntime

    folder = Paths(root).export(student)
    model = onnx.load(folder / "model.onnx")
    mlflow.set_tracking_uri(tracking_uri(root))
    named = {"run_name": f"register/{student}", "tags": {"kd.kind": "registration", **tags}}
    with mlflow.start_run(experiment_id=experiment, **named):
        logged = mlflow.onnx.log_model(
            model,
            name="model",
            registered_model_name=registered_name,
            signature=_signature(model),
            pip_requirements=[f"onnxruntime=={onnxruntime.__version__}"],
            metadata={
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
    stay_offline()
    root = Path()
    params = load_params(Paths(root).params)
    if name := register(root, params):
        print(f"{name} is now {params.name}@{ALIAS} in MLflow's registry: it has the lowest validation error")


if __name__ == "__main__":
    main()
