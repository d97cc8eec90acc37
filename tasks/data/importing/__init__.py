"""`kd import`: what a corpus of another tool holds, and the section of params.yaml that reads it."""
