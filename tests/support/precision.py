"""How near two computations of one number come to each other where both are right."""

FLOAT32 = 1e-6
"""Relative, for float32: eight times its last bit.

Each step rounds by up to 6e-8 of its result, and two of them need not be the same step: a wider SIMD adds in another
order and fuses products with sums, and every library has an exp and a log of its own, right to one or two last bits.
Kernels for AVX2 and those for SSE alone both keep to it (CONTRIBUTING.md says how that is tried).
"""
