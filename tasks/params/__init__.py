"""What params.yaml may hold: the sections, and what is wrong with a file, said before any work and without torch."""
