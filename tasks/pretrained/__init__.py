"""Weights that others trained: their files, read and renamed to ours."""
