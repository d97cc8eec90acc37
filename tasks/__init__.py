"""All input and output: corpora, checkpoints, tables, MLflow. A stage is `run(params, paths) -> metrics`."""
