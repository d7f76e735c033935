"""Multiplies linear bottlenecks away: the same function, without the factorised layer.

Ba & Caruana 2014, section 2.3: the bottleneck serves the speed of training; afterwards its matrix
and the next layer's can be multiplied into one.
"""

import numpy as np

from mimic_jax.errors import UserError
from mimic_jax.models.grammar import parse, token_error


def absorbed(spec):
    """The spec of the net that `absorb` leaves: the spec without its linear layers.

    Raises:
        UserError: for a bad spec, or a linear layer that cannot be absorbed: one with `bn` on it
            or on the layer after it (whose bias the product needs), or with dropout after it.
    """
    layers = parse(spec)
    linear = set()
    for layer, after in zip(layers, (*layers[1:], None), strict=True):
        if layer.kind != 'linear':
            continue
        linear.add(layer.position)
        if layer.batch_norm or (after and (after.batch_norm or after.kind == 'dropout')):
            what = 'batch normalised' if layer.batch_norm else f'followed by {after.token}'
            problem = f'is {what}, so it cannot be absorbed: leave that bn or dropout out'
            raise token_error(spec, layer.position, layer.token, problem)
    return '-'.join(
        token for position, token in enumerate(spec.split('-'), start=1) if position not in linear
    )


def absorb(params):
    """Multiplies every linear layer into the parameter layer after it.

    Args:
        params: a net's parameters, {'conv_00': {...}, 'linear_01': {...}, ...}.

    Returns:
        The parameters of the net that `absorbed(spec)` builds, renumbered; the outputs at test
        time are equal to float tolerance. Arrays that change are NumPy's.

    Raises:
        UserError: when a linear layer, or the layer after it, is batch normalised.
        ValueError: when no dense layer follows a linear layer, which no built net has.
    """
    pending, kept = None, []
    for name in sorted(params, key=_number):
        layer = params[name]
        if pending is not None:
            layer = _product(*pending, name, layer)
        pending = (name, layer) if name.startswith('linear_') else None
        if pending is None:
            kept.append((name, layer))
    if pending is not None:
        raise ValueError(f'no layer after {pending[0]} to absorb it into')
    return {_renumbered(name, number): layer for number, (name, layer) in enumerate(kept)}


def absorb_variables(variables):
    """`absorb` of {'params': ..., 'batch_stats': ...}, the statistics renumbered alike."""
    names = sorted(variables['params'], key=_number)
    kept = [name for name in names if not name.startswith('linear_')]
    renamed = {name: _renumbered(name, number) for number, name in enumerate(kept)}
    return {
        collection: absorb(tree)
        if collection == 'params'
        else {renamed[name]: leaves for name, leaves in tree.items()}
        for collection, tree in variables.items()
    }


def _number(name):
    return int(name.split('_')[1])


def _renumbered(name, number):
    return f'{name.split("_")[0]}_{number:02d}'


def _product(linear_name, linear, name, layer):
    """Kernel W1 W2 and bias b1 W2 + b2."""
    for normalised, tree in ((linear_name, linear), (name, layer)):
        if 'bn' in tree:
            raise UserError(
                f'{linear_name} cannot be absorbed into {name}: {normalised} is batch normalised; '
                'use a model without that bn'
            )
    if np.ndim(layer['kernel']) != 2:
        raise ValueError(f'{name} after {linear_name} is not a dense layer')
    kernel = np.asarray(layer['kernel'])
    return {
        'kernel': np.asarray(linear['kernel']) @ kernel,
        'bias': np.asarray(linear['bias']) @ kernel + np.asarray(layer['bias']),
    }
