"""Rows of a manifest whose recordings are all good, and parameters that keep every one."""

from typing import Any

KEEP_ALL = {"trim_db": None, "level_dbfs": None, "max_quarantined_share": 1.0}


def good_rows(project: Any, speakers: int = 6, each: int = 2) -> list[dict[str, Any]]:
    return [
        {"id": f"good-{s}-{i}", "path": project.record(f"good-{s}-{i}.wav"), "text": "one two", "speaker": f"s{s}"}
        for s in range(speakers)
        for i in range(each)
    ]
