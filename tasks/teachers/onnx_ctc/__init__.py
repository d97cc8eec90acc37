"""CTC models in ONNX that others exported, as teachers: sherpa-onnx's types, and exports of this project."""

FACTS_FILE = "onnx.json"
"""In a teacher's folder: what it is, and what it was made of."""
