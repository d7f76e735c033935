"""How many layers of a Flax module must answer one after another (Ba & Caruana 2014, section 5.3)."""

from collections.abc import Iterator

PRODUCTS = ('dot_general', 'conv_general_dilated')
CALLS = ('jit', 'pjit', 'closed_call', 'custom_jvp_call', 'custom_vjp_call', 'remat', 'remat2')


class _Unknown(Exception):
    """A product inside a loop or a branch: how often it is computed is not written in the program."""


def longest(closed) -> int | None:
    """The longest chain of matrix products and convolutions from the inputs to the outputs.

    closed: the ClosedJaxpr of a function whose last argument is the inputs; what depends on its other
    arguments alone can be computed ahead, and does not count.
    None where a loop or a branch of the program holds a product.
    """
    known = [None] * (len(closed.jaxpr.invars) - 1)
    try:
        return max((depth for depth in _depths(closed.jaxpr, [*known, 0]) if depth), default=0)
    except _Unknown:
        return None


def _depths(jaxpr, given: list[int | None]) -> list[int | None]:
    """The products on each output's longest way from the inputs; None where there is no way."""
    depths = dict(zip(jaxpr.invars, given, strict=True))

    def of(variable) -> int | None:
        return (
            None if hasattr(variable, 'val') else depths.get(variable)
        )  # a literal, or a constant

    for equation in jaxpr.eqns:
        name, before = equation.primitive.name, [of(variable) for variable in equation.invars]
        inner = list(_inner(equation))
        if name in CALLS and inner:
            after = _depths(inner[0], before)
        else:
            if any(_has_product(each) for each in inner):
                raise _Unknown
            reached = [depth for depth in before if depth is not None]
            after = [max(reached) + (name in PRODUCTS) if reached else None]
            after *= len(equation.outvars)
        depths.update(zip(equation.outvars, after, strict=True))
    return [of(variable) for variable in jaxpr.outvars]


def _inner(equation) -> Iterator:
    """The programs that an equation calls."""
    for value in equation.params.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            program = getattr(each, 'jaxpr', each)  # a closed one's own
            if hasattr(program, 'eqns'):
                yield program


def _has_product(jaxpr) -> bool:
    return any(
        equation.primitive.name in PRODUCTS or any(map(_has_product, _inner(equation)))
        for equation in jaxpr.eqns
    )
