"""The table of models in the terminal, and where to look further."""

from pathlib import Path
from typing import Any

import typer

from tasks.metric_names import ERROR_WORDS
from tasks.runner.paths import Paths
from tasks.tracking.pipeline_run import comparison_link, read_results

COLUMNS = {
    "model": "model",
    "role": "role",
    "test_error": "test",
    "test_error_low": "low",
    "test_error_high": "high",
    "params": "parameters",
    "nonzero_params": "non-zero",
    "size_bytes": "bytes",
    "latency_ms_p50": "latency ms p50",
    "rtf": "real-time factor",
    "peak_memory_mb": "memory MB",
}
PERCENT = ("test_error", "test_error_low", "test_error_high")


def show_table(root: Path) -> bool:
    """Whether there is one; exit code 1, with a line, where it is damaged."""
    try:
        return print_table(root)
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def show_results(root: Path, name: str, address: str) -> None:
    """The table, the report's place, and the comparison in MLflow's UI at this address."""
    show_table(root)
    report = Paths(root).reports / "report.html"
    if report.is_file():
        typer.echo(f"Report: {report}")
    link = comparison_link(root, name, address)
    if link:
        typer.echo(f"MLflow: start `make ui`, then open {link}")


def print_table(root: Path) -> bool:
    """Print reports/results.csv; False if there is none."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = read_results(root)
    if not rows:
        return False
    table = Table(box=None, header_style="bold", pad_edge=False)
    kind = ERROR_WORDS.get(rows[0].get("error_kind", ""), "error")
    titles = {**COLUMNS, "test_error": f"{COLUMNS['test_error']} {kind}"}
    shown = {key: title for key, title in titles.items() if key in rows[0]}
    for key, title in shown.items():
        table.add_column(title, justify="left" if isinstance(rows[0][key], str) else "right")
    for row in rows:
        table.add_row(*(Text(_cell(key, row[key])) for key in shown))
    console = Console()
    Console(width=max(console.width, 120)).print(table)
    return True


def _cell(key: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if key in PERCENT:
        return f"{100 * value:.1f} %"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}"
