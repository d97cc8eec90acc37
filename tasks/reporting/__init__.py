"""Parts of the report: results table, verdict, charts, transcripts, and the page that holds them."""
