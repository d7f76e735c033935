"""Optimisers, as chains of optax's transformations."""

import math
import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from optax.contrib import MuonDimensionNumbers

from mimic_jax.errors import UserError
from mimic_jax.training import clipping, plateau
from mimic_jax.training.schedules import learning_rate
from mimic_jax.training.settings import Group, Train


def optimizer(train: Train, steps: int) -> optax.GradientTransformationExtraArgs:
    """Clipping by global norm, then what `train.optimizer` names, at the rate of `train.schedule`.

    SGD adds the decay of weights to their gradients (L2); AdamW and Muon subtract it from the weights,
    times the rate (Loshchilov & Hutter 2019, algorithm 2). The schedule 'plateau' scales every update.
    Its state is the chain's `plateau.Plateau`, which the training loop replaces after every epoch
    (`plateau_of`, `with_plateau`).

    The update needs the gradients' norm: `update(gradients, state, params, norm=norm)`.

    Raises:
      UserError: in `init`, where a group has no parameter, or two groups have the same one.
    """
    rate = learning_rate(train, steps)
    parts = [clipping.clip_by_norm(train.clip_norm)]
    if train.optimizer == 'sgd':
        parts += [_decay(train), optax.sgd(rate, train.momentum, nesterov=train.nesterov)]
    else:
        direction = _adam(train.momentum, train) if train.optimizer == 'adamw' else _muon(train)
        parts += [direction, _decay(train), optax.scale_by_learning_rate(rate)]
    if train.groups or train.optimizer == 'muon':
        parts.append(_by_parameter(lambda path, leaf: _rate(train, path, leaf)))
    if train.schedule == 'plateau':
        parts.append(_scaled_by_plateau())
    if train.optimizer == 'muon' and train.muon_rescale:
        parts.append(_rescaled(train))
    return _checked(optax.chain(*parts), train)


def plateau_of(opt_state) -> plateau.Plateau:
    """The plateau in the state of an `optimizer` with that schedule."""
    return next(part for part in opt_state if isinstance(part, plateau.Plateau))


def with_plateau(opt_state, new: plateau.Plateau):
    """That state with another plateau."""
    return tuple(new if isinstance(part, plateau.Plateau) else part for part in opt_state)


def _adam(beta1: float, train: Train) -> optax.GradientTransformation:
    return optax.scale_by_adam(beta1, train.beta2)


def _muon(train: Train) -> optax.GradientTransformation:
    """Directions of the update: orthogonalised momentum `_by_muon`, the companion's for the rest.

    An update of a kernel with more outputs O than inputs I is scaled by √(O/I), as in the authors'
    code; a convolution's inputs are the elements of its window times the channels.
    """
    muon = optax.contrib.muon(
        -1.0,  # the direction uphill; scaling by the rate turns it round
        ns_steps=train.muon_steps,
        beta=train.momentum,
        nesterov=train.nesterov,
        muon_weight_dimension_numbers=lambda params: jax.tree.map(
            lambda leaf: MuonDimensionNumbers(tuple(range(leaf.ndim - 1)), leaf.ndim - 1), params
        ),
    )
    if train.companion == 'adamw':
        companion = _adam(train.companion_momentum, train)
    else:
        companion = optax.trace(train.companion_momentum, nesterov=True)

    def labels(params):
        return jax.tree_util.tree_map_with_path(
            lambda path, leaf: 'muon' if _by_muon(train, path, leaf) else 'companion', params
        )

    return optax.partition({'muon': muon, 'companion': companion}, labels)


def _by_muon(train: Train, path, leaf) -> bool:
    """Whether Muon updates a parameter: the kernel [I, O] or [H, W, I, O] of a layer."""
    group = _group(train, path)
    return is_kernel(path) and leaf.ndim in (2, 4) and not (group and group.companion)


def _rate(train: Train, path, leaf) -> float:
    """The factor on a parameter's learning rate."""
    group = _group(train, path)
    factor = group.rate if group else 1.0
    if train.optimizer == 'muon' and not _by_muon(train, path, leaf):
        factor *= train.companion_rate
    return factor


def _decay(train: Train) -> optax.GradientTransformation:
    if not train.groups:
        return optax.add_decayed_weights(train.weight_decay, mask=_kernels)

    def decayed(path, update, parameter):
        group = _group(train, path)
        if group and group.weight_decay is not None:
            return update + group.weight_decay * parameter
        return update + train.weight_decay * parameter if is_kernel(path) else update

    def update(updates, state, params):
        return jax.tree_util.tree_map_with_path(decayed, updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _by_parameter(factor: Callable) -> optax.GradientTransformation:
    """Multiplies each update by `factor(path, update)`."""

    def update(updates, state, params=None):
        return jax.tree_util.tree_map_with_path(
            lambda path, leaf: leaf * factor(path, leaf), updates
        ), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _scaled_by_plateau() -> optax.GradientTransformation:
    # No optimiser's own state depends on the rate, so scaling the update scales the rate.
    def scale(updates, state, params=None):
        return jax.tree.map(lambda update: update * state.scale, updates), state

    return optax.GradientTransformation(lambda params: plateau.start(), scale)


def _rescaled(train: Train) -> optax.GradientTransformation:
    """Scales Muon's kernels to the Frobenius norm √O before the update is added."""

    def one(path, update, parameter):
        if not _by_muon(train, path, parameter):
            return update
        scale = math.sqrt(parameter.shape[-1]) / jnp.linalg.norm(parameter.reshape(-1))
        return update + (scale - 1) * parameter

    def update(updates, state, params):
        return jax.tree_util.tree_map_with_path(one, updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _checked(
    chain: optax.GradientTransformationExtraArgs, train: Train
) -> optax.GradientTransformationExtraArgs:
    """`chain`, whose `init` checks the groups of parameters against the parameters."""

    def init(params):
        check_groups(train, params, 'train')
        return chain.init(params)

    return optax.GradientTransformationExtraArgs(init, chain.update)


def check_groups(train: Train, params, where: str) -> None:
    """UserError where a group fits no parameter, or two fit one.  where: of `train`, for the error."""
    names = [name_of(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    seen: dict[str, str] = {}
    for group, settings in train.groups.items():
        line = f'{where}.groups.{group}.parameters is {settings.parameters!r}'
        fitting = [name for name in names if re.search(settings.parameters, name)]
        if not fitting:
            raise UserError(f'{line}, which fits none of {", ".join(names)}; change it')
        for name in fitting:
            if name in seen:
                raise UserError(f'{line}, but {name} is in the group {seen[name]}; narrow one')
            seen[name] = group


def name_of(path) -> str:
    """'output_04/bias' for a parameter's path in the tree."""
    return '/'.join(str(getattr(key, 'key', getattr(key, 'name', key))) for key in path)


def is_kernel(path) -> bool:
    return name_of(path).rpartition('/')[2] == 'kernel'


def _kernels(params):
    return jax.tree_util.tree_map_with_path(lambda path, _: is_kernel(path), params)


def _group(train: Train, path) -> Group | None:
    name = name_of(path)
    return next((g for g in train.groups.values() if re.search(g.parameters, name)), None)
