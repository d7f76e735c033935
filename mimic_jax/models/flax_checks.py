"""What a person's own Flax module must keep, found by tracing it without making an array."""

import functools
from collections.abc import Mapping

import flax
import jax
import jax.numpy as jnp

from mimic_jax.errors import UserError
from mimic_jax.models import flax_module, sequence
from mimic_jax.models.contract import Size
from mimic_jax.runtime import backend


@functools.cache
def size(net, input_shape: tuple[int, ...]) -> Size:
    """The size of a `FlaxNet`, which is traced on examples of a shape.

    Raises:
      UserError: a module that fails on them, or breaks one of the rules in docs/own_net.md.
    """
    where = f'{net.where}.model'
    tried = functools.partial(
        flax_module.tried,
        where=where,
        what=f'{net.name} on examples of shape {list(input_shape)} fails',
    )
    key = jax.eval_shape(lambda: jax.random.key(0))
    init = functools.partial(net.init, input_shape=input_shape)
    variables = tried(lambda: jax.eval_shape(init, key))
    _check_variables(net, variables, where)
    one, inputs = (jax.ShapeDtypeStruct((size, *input_shape), jnp.float32) for size in (1, 2))
    try:
        outputs = tried(lambda: jax.eval_shape(net.apply, variables, inputs))
    except UserError as error:
        if not isinstance(error.__cause__, flax.errors.InvalidRngError):
            raise
        raise UserError(
            f'{where} is {net.path}, which draws dropout when it is asked; let its __call__ take train '
            'or deterministic'
        ) from None
    _check_outputs(net, outputs, where)

    def train(variables, inputs, mask, key):
        return net.apply(variables, inputs, True, mask, {'dropout': key})

    mask = jax.ShapeDtypeStruct((2,), jnp.float32)
    tried(lambda: jax.eval_shape(train, variables, inputs, mask, key))
    # On a CPU a convolution may be several products, of fewer FLOPs.
    with backend.compiling_for('gpu'):
        traced = jax.jit(net.apply).trace(variables, one)
        cost = traced.lower().cost_analysis() or {}
    parameters = sum(leaf.size for leaf in jax.tree.leaves(variables['params']))
    return Size(parameters, int(cost.get('flops', 0)), None, sequence.longest(traced.jaxpr))


def _check_outputs(net, outputs, where: str) -> None:
    wanted, found = [2, net.num_classes], getattr(outputs, 'shape', None)
    if found is None or list(found) != wanted:
        shown = type(outputs).__name__ if found is None else f'shape {list(found)}'
        raise UserError(
            f'{where}: {net.name} gives {shown} for 2 examples; it must give logits of shape {wanted}, '
            'one a class'
        )


def _check_variables(net, variables: Mapping, where: str) -> None:
    leaves = jax.tree_util.tree_leaves_with_path(variables.get('params', {}))
    if not leaves:
        raise UserError(f'{where} is {net.path}, which has no parameters to train')
    for path, leaf in leaves:
        if leaf.dtype != jnp.float32:
            raise UserError(
                f'{where} is {net.path}, whose parameter {jax.tree_util.keystr(path)} is {leaf.dtype}; '
                'keep parameters in float32 (param_dtype), and compute in what you like (dtype)'
            )
    others = [name for name in variables if name != 'params']
    if others and not net.is_nnx and not net.takes & {'train', 'deterministic'}:
        raise UserError(
            f'{where} is {net.path}, which keeps {others[0]}; let its __call__ take train, to tell '
            'training from answering'
        )
