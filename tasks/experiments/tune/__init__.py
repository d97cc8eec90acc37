"""`kd tune`: trials of one student, chosen by Optuna and judged on the validation part alone."""
