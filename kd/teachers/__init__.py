"""What is computed of a teacher's answers: logits to store, ensembles, confidence, pseudo-labels and their filters."""
