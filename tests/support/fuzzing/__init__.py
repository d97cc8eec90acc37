"""Damaged inputs by the thousand, each from a seed and a number; `benchmarks/fuzz.py` and its tests run them.

A kind is a module here with `prepared(shared, room)`, which gives a function that makes and tries one case: it takes a
Random and an empty folder, and gives the name of the outcome. What it raises is a failure.
"""
