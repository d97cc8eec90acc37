"""One reader for every table that somebody else wrote: manifests, transcripts of recognisers."""

from tasks.tables.cells import Cell
from tasks.tables.columns import Columns
from tasks.tables.reader import FORMATS, Row, read_table

__all__ = ["FORMATS", "Cell", "Columns", "Row", "read_table"]
