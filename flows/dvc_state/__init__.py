"""What DVC keeps of a project: its graph, what is stale, its locks, dvc.lock, outputs that nobody saved or needs."""
