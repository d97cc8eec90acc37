"""MLflow: runs of stages and of whole pipelines, pictures beside them, and the best student in the registry."""
