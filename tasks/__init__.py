"""Input and output: corpora, models, tables, MLflow. A stage is `run(params, paths, name, reporter) -> metrics`."""
