"""What a run leaves in Prefect: the table of models, the verdicts, and where the report is."""

from pathlib import Path

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from tasks.paths import Paths
from tasks.pipeline_run import read_results


def publish(root: Path, verdicts: str) -> None:
    """Attach the artifacts to the Prefect run under way; what does not exist is left out."""
    create_markdown_artifact(verdicts, key="verdicts", description="What each stage did")
    if rows := read_results(root):
        create_table_artifact(rows, key="models", description="One row a model")
    report = Paths(root).reports / "report.html"
    if report.is_file():
        create_link_artifact(report.resolve().as_uri(), key="report", link_text="report.html")
