"""What surrounds a stage: its process, events, resume states, digests of its code, files that are whole or absent."""
