"""ONNX files: exported, quantised, opened, and what they cost."""
