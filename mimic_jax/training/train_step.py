"""TrainState, train_step and eval_step: pure functions of a state and a batch."""

import dataclasses
import functools
from collections.abc import Mapping

import flax
import jax
import jax.numpy as jnp
import optax

from mimic_jax.data import mixing, preprocess, views
from mimic_jax.data.draws import PRNG
from mimic_jax.data.settings import Views
from mimic_jax.models.contract import Net
from mimic_jax.ops import metrics
from mimic_jax.training import clipping, losses, plateau
from mimic_jax.training.settings import Loss, Train

# Part of trained nets' names. Raise it with every change, beyond rounding, of what preprocessing,
# losses, optimisers or schedules compute (tests/arithmetic_test.py).
VERSION = 1


@dataclasses.dataclass(frozen=True)
class Task:
    """Everything about a training run that is fixed when it is compiled.

    Equal tasks share one compiled step: runs that differ only in their seed compile once.
    """

    net: Net
    preprocess: str
    views: Views
    loss: Loss
    train: Train
    steps: int


class TrainState(flax.struct.PyTreeNode):
    """What a step reads and writes.

    step: int32 [], steps taken.  variables: the net's `params` and `batch_stats`.
    seed, view_seed: uint32 [].  constants: arrays that are not trained: `inputs` (the statistics of
    preprocessing) and, for standardised logits, `logit_mean` and `logit_deviation` [K].
    """

    step: jax.Array
    variables: Mapping
    opt_state: optax.OptState
    seed: jax.Array
    view_seed: jax.Array
    constants: Mapping
    task: Task = flax.struct.field(pytree_node=False)


def create_train_state(task: Task, input_shape, seed: int, view_seed: int, constants) -> TrainState:
    """A state at step 0, its parameters drawn from `seed`."""
    variables = _initial_variables(task.net, tuple(input_shape), jnp.uint32(seed))
    return TrainState(
        step=jnp.int32(0),
        variables=variables,
        opt_state=optimizer(task.train, task.steps).init(variables['params']),
        seed=jnp.uint32(seed),
        view_seed=jnp.uint32(view_seed),
        constants=constants,
        task=task,
    )


def learning_rate(train: Train, steps: int) -> optax.Schedule:
    """The rate by step: linear warm-up from 0, then constant or a half cosine down to 0.

    'plateau' is constant here; `optimizer` scales its updates.
    """
    warmup = round(train.warmup * steps)
    if train.schedule in ('constant', 'plateau'):
        if not warmup:  # optax's warm-up schedule over no steps would stay at 0 for ever
            return optax.constant_schedule(train.learning_rate)
        return optax.warmup_constant_schedule(0.0, train.learning_rate, warmup)
    return optax.warmup_cosine_decay_schedule(0.0, train.learning_rate, warmup, steps)


def optimizer(train: Train, steps: int) -> optax.GradientTransformation:
    """Clipping by global norm, L2 on kernels, then SGD with Nesterov momentum.

    Its update needs the gradients' norm: `update(gradients, state, params, norm=norm)`.
    The schedule 'plateau' adds a `plateau.Plateau` as the last part of its state; the training loop
    replaces it after every epoch.
    """
    parts = [
        clipping.clip_by_norm(train.clip_norm),
        optax.add_decayed_weights(train.weight_decay, mask=_kernels),
        optax.sgd(learning_rate(train, steps), train.momentum, nesterov=True),
    ]
    if train.schedule == 'plateau':
        parts.append(_scaled_by_plateau())
    return optax.chain(*parts)


def _scaled_by_plateau() -> optax.GradientTransformation:
    # Momentum sums gradients before the rate multiplies them, so scaling the update scales the rate.
    def scale(updates, state, params=None):
        return jax.tree.map(lambda update: update * state.scale, updates), state

    return optax.GradientTransformation(lambda params: plateau.start(), scale)


def train_step(state: TrainState, batch: Mapping) -> tuple[TrainState, dict]:
    """One step of gradient descent.

    batch: inputs [B, ...] raw, labels [B], index [B], mask [B], view [] and, for a student on
    logits, teacher_logits [B, K]; where views mix, partner [B], partner_inputs and partner_labels.
    Returns the next state and the batch's metrics as sums.
    """
    task = state.task
    inputs = prepare(task.preprocess, task.views, state.constants, state.view_seed, batch)
    _, dropout_key = _keys(state.seed)
    dropout_key = jax.random.fold_in(dropout_key, state.step)
    mask = batch['mask']

    def objective(params):
        logits, updates = task.net.apply(
            {**state.variables, 'params': params},
            inputs,
            train=True,
            mask=mask,
            rngs={'dropout': dropout_key},
        )
        each = _mixed_losses(state, logits, batch)
        mean = jnp.sum(each * mask) / jnp.maximum(jnp.sum(mask), 1)
        return mean, (logits, each, updates)

    (mean, (logits, each, updates)), gradients = jax.value_and_grad(objective, has_aux=True)(
        state.variables['params']
    )
    norm = clipping.global_norm(gradients)
    changes, opt_state = optimizer(task.train, task.steps).update(
        gradients, state.opt_state, state.variables['params'], norm=norm
    )
    params = optax.apply_updates(state.variables['params'], changes)
    finite = jnp.isfinite(mean) & jnp.isfinite(norm)
    sums = metrics.sums(logits, _heavier_labels(state, batch), each, mask)
    state = state.replace(
        step=state.step + 1,
        variables={**state.variables, **updates, 'params': params},
        opt_state=opt_state,
    )
    return state, {**sums, 'nonfinite_steps': 1.0 - finite.astype(jnp.float32)}


def eval_step(state: TrainState, batch: Mapping) -> dict:
    """Cross-entropy and accuracy of a batch, unaugmented, as sums."""
    task = state.task
    logits = forward(task.net, task.preprocess, None, state.variables, state.constants, 0, batch)
    each = losses.cross_entropy(logits, batch['labels'])
    return metrics.sums(logits, batch['labels'], each, batch['mask'])


def forward(net: Net, kind: str, settings: Views | None, variables, constants, view_seed, batch):
    """Logits [B, K] of a batch, on its view, or unaugmented where `settings` is None."""
    inputs = prepare(kind, settings, constants, view_seed, batch)
    return net.apply(variables, inputs, train=False)


def example_losses(loss: Loss, logits, batch: Mapping, constants: Mapping) -> jax.Array:
    """The loss of each example, [B]."""
    labels, teacher = batch['labels'], batch.get('teacher_logits')
    match loss.kind:
        case 'cross_entropy':
            return losses.cross_entropy(logits, labels)
        case 'logits':
            return losses.squared_error_on_logits(logits, teacher, loss.scale)
        case 'standardised_logits':
            mean, deviation = constants['logit_mean'], constants['logit_deviation']
            return losses.squared_error_on_standardised_logits(
                logits, teacher, mean, deviation, loss.scale
            )
        case 'probabilities':
            return losses.squared_error_on_probabilities(logits, teacher, loss.scale)
        case 'kl':
            return losses.kl_divergence(logits, teacher, loss.temperature)
        case 'hinton':
            return losses.hinton(logits, teacher, labels, loss.temperature, loss.soft_weight)
    raise ValueError(f'no loss of kind {loss.kind!r}')


def _mixed_losses(state: TrainState, logits, batch: Mapping) -> jax.Array:
    """The loss of each example, [B]; of one that is mixed with another, of both labels by their shares."""
    each = example_losses(state.task.loss, logits, batch, state.constants)
    if 'partner' not in batch:
        return each
    own = mixing.own_shares(batch, state.view_seed, state.task.views)
    others = {**batch, 'labels': batch['partner_labels']}
    return own * each + (1 - own) * example_losses(state.task.loss, logits, others, state.constants)


def _heavier_labels(state: TrainState, batch: Mapping) -> jax.Array:
    """The labels [B] that accuracy is counted by: of mixed examples, those of the larger share."""
    if 'partner' not in batch:
        return batch['labels']
    own = mixing.own_shares(batch, state.view_seed, state.task.views)
    return jnp.where(own >= 0.5, batch['labels'], batch['partner_labels'])


@functools.partial(jax.jit, static_argnums=(0, 1))
def _initial_variables(net: Net, input_shape: tuple[int, ...], seed: jax.Array) -> Mapping:
    init_key, _ = _keys(seed)
    return net.init(init_key, input_shape)


def prepare(kind: str, settings: Views | None, constants: Mapping, view_seed, batch: Mapping):
    inputs = batch['inputs']
    if settings is not None:
        inputs = views.of_batch(batch, view_seed, settings)
    return preprocess.apply(kind, constants['inputs'], inputs, batch['inputs'].dtype)


def _keys(seed: jax.Array) -> jax.Array:
    return jax.random.split(jax.random.key(seed, impl=PRNG))


def _kernels(params):
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == 'kernel', params)
