"""Layers' kernels for the CPU.

Whoever changes the last digits of what they compute raises ROUNDING. A cache of logits that was written
by another is then checked within a tolerance, not to the last bit.
"""

ROUNDING = 2
