"""One reader for every table that somebody else wrote: manifests, transcripts of recognisers."""

from tasks.data.tables.cells import Cell
from tasks.data.tables.columns import Columns
from tasks.data.tables.reader import Row, read_table, rows_by_utterance

__all__ = ["Cell", "Columns", "Row", "read_table", "rows_by_utterance"]
