"""Typed settings of kd's parts. Nothing here imports torch, so parameters are checked in milliseconds."""
