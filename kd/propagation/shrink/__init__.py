"""Shrinking: a student is made sparse while it is trained, made smaller for good, and trained on."""

from kd.propagation.shrink.phases import fit_and_shrink, restored

__all__ = ["fit_and_shrink", "restored"]
