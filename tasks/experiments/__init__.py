"""Many runs of the chain: studies over folds and seeds, searches over recipes."""
