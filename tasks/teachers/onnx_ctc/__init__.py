"""CTC models in ONNX that others exported, as teachers: sherpa-onnx's types, and exports of this project."""
