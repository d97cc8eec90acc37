"""One run of the pipeline: its stages as processes, what it shows, and what it tells MLflow and Prefect."""
