"""What must hold between the parts of params.yaml, and of what it names. One line for each mistake."""
