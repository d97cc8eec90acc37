"""What a run leaves in Prefect."""

import base64
import io
import json

from matplotlib.image import imread
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

PLOTS = ("error-against-size", "error-against-latency")
KEYS = ("models", "verdicts", "report", *PLOTS)


def test_a_run_leaves_its_table_plots_report_and_verdicts(first_run):
    toy, verdicts = first_run
    found = artifacts()
    rows = json.loads(found["models"])
    assert [row["model"] for row in rows] == ["baseline", "distilled", "teacher"]
    assert all(f"| {stage} | ran |" in found["verdicts"] for stage in verdicts)
    assert (toy.root / "reports" / "report.html").as_uri() in found["report"]
    for key in PLOTS:
        kind, _, content = found[key].partition(",")
        assert kind == "data:image/png;base64"
        picture = imread(io.BytesIO(base64.b64decode(content)))
        assert picture.shape[:2] == (450, 700)
        assert picture.std() > 0.01, "an empty picture"


def artifacts():
    """What the session's first run left, by key."""
    found = {}
    with get_client(sync_client=True) as client:
        for key in KEYS:
            filters = {"artifact_filter": ArtifactFilter(key=ArtifactFilterKey(any_=[key]))}
            found[key] = min(client.read_artifacts(**filters, limit=200), key=lambda artifact: artifact.created).data
    return found
