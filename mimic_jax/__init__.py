"""Deep teachers, cached logits, shallow students: mimic learning in JAX."""

__version__ = '0.1.0'
