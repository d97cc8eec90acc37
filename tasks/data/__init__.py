"""Corpora, their preparation, and the prepared data that all later stages read."""
