"""TrainState, train_step and eval_step: pure functions of a state and a batch."""

import dataclasses
import functools
from collections.abc import Mapping

import flax
import jax
import jax.numpy as jnp
import optax

from mimic_jax.data import kinds, mixing, preprocess, tta, views
from mimic_jax.data.draws import PRNG
from mimic_jax.data.view_settings import Views
from mimic_jax.models.contract import Net
from mimic_jax.training import averages, clipping, losses
from mimic_jax.training.loss_settings import Loss
from mimic_jax.training.objective import example_losses
from mimic_jax.training.optimizers import optimizer
from mimic_jax.training.settings import Train

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
    average: of `variables` over steps, None without `train.average`.
    """

    step: jax.Array
    variables: Mapping
    opt_state: optax.OptState
    seed: jax.Array
    view_seed: jax.Array
    constants: Mapping
    task: Task = flax.struct.field(pytree_node=False)
    average: Mapping | None = None

    @property
    def averaged(self) -> Mapping:
        """The variables that are evaluated and kept."""
        return self.variables if self.average is None else self.average


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
        average=averages.start(task.train, variables),
    )


def train_step(state: TrainState, batch: Mapping, norms: bool = False) -> tuple[TrainState, dict]:
    """One step of gradient descent.

    batch: inputs [B, ...] raw, labels [B] or [B, K], index [B], mask [B], view [] and, for a student on
    logits, teacher_logits [B, K]; where views mix, partner [B], partner_inputs and partner_labels.
    norms: whether those of parameters and updates are among the metrics, too.  Returns the next state
    and the batch's metrics as sums: those of `kinds.Kind.sums`, and over `steps` those of
    `gradient_norm_sum`, `parameter_norm_sum` and `update_norm_sum`.
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
    labels = _counted_labels(state, batch)
    sums = kinds.of(labels).sums(logits, labels, each, mask)
    step, variables = state.step + 1, {**state.variables, **updates, 'params': params}
    variables, average = averages.update(task.train, step, task.steps, variables, state.average)
    state = state.replace(step=step, variables=variables, average=average, opt_state=opt_state)
    sums['nonfinite_steps'] = 1.0 - finite.astype(jnp.float32)
    sums['steps'], sums['gradient_norm_sum'] = jnp.int32(1), norm
    if norms:
        sums['parameter_norm_sum'] = clipping.global_norm(params)
        sums['update_norm_sum'] = clipping.global_norm(changes)
    return state, sums


def eval_step(state: TrainState, batch: Mapping) -> dict:
    """Loss and score on the labels of a batch, unaugmented, as sums: cross-entropy and accuracy, or
    half the squared error and R²."""
    task = state.task
    logits = forward(task.net, task.preprocess, None, state.averaged, state.constants, 0, batch)
    labels = batch['labels']
    each = losses.on_labels(logits, labels)
    return kinds.of(labels).sums(logits, labels, each, batch['mask'])


def forward(net: Net, kind: str, settings: Views | None, variables, constants, view_seed, batch):
    """Logits [B, K] of a batch, on its view, or unaugmented where `settings` is None."""
    inputs = prepare(kind, settings, constants, view_seed, batch)
    return net.apply(variables, inputs, train=False)


def mean_forward(
    net: Net,
    kind: str,
    settings: Views | None,
    variables,
    constants,
    view_seed,
    batch,
    average: str,
):
    """The weighted mean of `forward` over the transforms `tta.TRANSFORMS[average]` of the view."""
    if average == 'none':
        return forward(net, kind, settings, variables, constants, view_seed, batch)
    seen = batch['inputs'] if settings is None else views.of_batch(batch, view_seed, settings)
    total = 0.0
    for transform in tta.TRANSFORMS[average]:
        moved, raw_type = tta.apply(transform, seen), batch['inputs'].dtype
        inputs = preprocess.apply(kind, constants['inputs'], moved, raw_type)
        total += transform.weight * net.apply(variables, inputs, train=False)
    return total


def _mixed_losses(state: TrainState, logits, batch: Mapping) -> jax.Array:
    """The loss of each example, [B]. A mixed one has both labels' losses, weighted by their shares."""
    task = state.task
    progress = state.step / max(task.steps - 1, 1)

    def of(batch):
        smoothing = task.train.label_smoothing
        return example_losses(task.loss, logits, batch, state.constants, smoothing, progress)

    if 'partner' not in batch:
        return of(batch)
    own = mixing.own_shares(batch, state.view_seed, task.views)
    return own * of(batch) + (1 - own) * of({**batch, 'labels': batch['partner_labels']})


def _counted_labels(state: TrainState, batch: Mapping) -> jax.Array:
    """The labels that a score is counted by: of mixed examples the class of the larger share, or the
    values mixed alike."""
    labels = batch['labels']
    if 'partner' not in batch:
        return labels
    own = mixing.own_shares(batch, state.view_seed, state.task.views)
    return kinds.of(labels).mixed(labels, batch['partner_labels'], own)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _initial_variables(net: Net, input_shape: tuple[int, ...], seed: jax.Array) -> Mapping:
    init_key, _ = _keys(seed)
    return net.init(init_key, input_shape)


def prepare(kind: str, settings: Views | None, constants: Mapping, view_seed, batch: Mapping):
    """A batch's net inputs [B, ...]: its view, or unaugmented where `settings` is None; preprocessed."""
    inputs = batch['inputs']
    if settings is not None:
        inputs = views.of_batch(batch, view_seed, settings)
    return preprocess.apply(kind, constants['inputs'], inputs, batch['inputs'].dtype)


def _keys(seed: jax.Array) -> jax.Array:
    return jax.random.split(jax.random.key(seed, impl=PRNG))
