"""Studies: full designs of folds and seeds, their cells, results, and what the results say."""
