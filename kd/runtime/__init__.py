"""Exported recognisers where people run them: a light package of its own.

It imports the standard library, numpy, onnxruntime and soundfile alone, and is the one part of kd that opens
files. `python -m kd.runtime` runs where nothing else is installed; `kd transcribe` and `kd spot` are the same.
"""
