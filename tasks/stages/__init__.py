"""The stages of the pipeline, a module each: `run(params, paths, name, reporter) -> metrics`."""
