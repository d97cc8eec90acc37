"""What a run leaves in Prefect: the table of models, plots, the verdicts, and where the report is."""

import base64
from pathlib import Path

from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from tasks.metric_names import ERROR_WORDS, named_errors
from tasks.runner.paths import Paths
from tasks.tracking.pictures import error_png
from tasks.tracking.pipeline_run import read_results

PLOTS = {
    "error-against-size": ("size_bytes", "ONNX file in bytes"),
    "error-against-latency": ("latency_ms_p50", "median latency of an utterance in ms"),
}


def publish(root: Path, verdicts: str) -> None:
    """Attach the artifacts to the Prefect run under way; what does not exist is left out.

    Pictures are data URIs: Prefect keeps them in its database and its page needs no other server.
    """
    create_markdown_artifact(verdicts, key="verdicts", description="What each stage did")
    if rows := read_results(root):
        kind = rows[0]["error_kind"]
        create_table_artifact([named_errors(row, kind) for row in rows], key="models", description="One row a model")
        for key, (column, label) in PLOTS.items():
            address = "data:image/png;base64," + base64.b64encode(error_png(rows, column, label)).decode()
            create_image_artifact(address, key=key, description=f"Test {ERROR_WORDS[kind]} against {label}")
    report = Paths(root).reports / "report.html"
    if report.is_file():
        create_link_artifact(report.resolve().as_uri(), key="report", link_text="report.html")
