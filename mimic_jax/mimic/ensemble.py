"""Trained nets' logits over many examples, and logit caches, opened and checked."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.config.fields import differing
from mimic_jax.data import draws, mixing, views
from mimic_jax.mimic import external_teacher, logit_cache
from mimic_jax.mimic.cache_plan import CachePlan
from mimic_jax.mimic.external_plan import ExternalPlan
from mimic_jax.models import absorb, kernels, nets
from mimic_jax.runtime import backend, compiled, hosts, sharding
from mimic_jax.training import calls, checkpoint
from mimic_jax.training.plan import NetPlan
from mimic_jax.training.session import Session
from mimic_jax.training.train_step import Task, mean_forward


def load(
    session: Session,
    plan: NetPlan | ExternalPlan,
    done: Callable[[], None] = lambda: None,
    average: str = 'none',
):
    """A finished net as `logits(ids, view, settings, view_seed) -> [n, K]` float32 on the host.

    A teacher made elsewhere answers likewise.

    ids: padded batches of indices.  settings: of the view, None for the examples as they are.
    done: called after every batch.  average: a name of `tta.TRANSFORMS`; a net's logits are the mean
    over its transforms.
    """
    if isinstance(plan, ExternalPlan):
        return external_teacher.load(session, plan, done)
    return _logits(session, plan.task, variables(session, plan), done, average)


def load_absorbed(session: Session, plan: NetPlan):
    """Like `load`, the net's bottleneck multiplied into the layer after it."""
    return _logits(session, *absorbed(session, plan))


def absorbed(session: Session, plan: NetPlan) -> tuple[Task, dict]:
    """A finished net's task and variables, its bottleneck multiplied into the layer after it."""
    net = nets.notation_only(plan.task.net, 'a bottleneck to absorb')
    task = dataclasses.replace(plan.task, net=net.absorbed())
    return task, absorb.absorb_variables(variables(session, plan))


def variables(session: Session, plan: NetPlan):
    """A finished net's variables, placed on the session's mesh."""
    folder = session.workdir / plan.recipe.name
    store.manifest(folder)  # checks every file's digest
    init = functools.partial(plan.task.net.init, input_shape=tuple(session.data.input_shape))
    shapes = jax.eval_shape(init, jax.random.key(0))
    placed = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=sharding.parameter_sharding(session.mesh, leaf.shape)
        ),
        shapes,
    )
    return checkpoint.load_variables(folder, placed)


def on_inputs(session: Session, plan: NetPlan) -> Callable[[jax.Array], jax.Array]:
    """A finished net as a function of raw inputs [B, ...] as they are, which returns logits [B, K]: the
    mean over `plan.tta`."""
    return forward_on_inputs(session, plan.task, variables(session, plan), plan.tta)


def forward_on_inputs(
    session: Session, task: Task, variables, average: str = 'none'
) -> Callable[[jax.Array], jax.Array]:
    """A net with these variables as a function of raw inputs [B, ...].  average: as in `load`."""
    call = compiled.jit(plain_forward, static_argnums=(0, 1, 5))
    fixed = task.net, task.preprocess, variables, session.constants
    return lambda inputs: call(*fixed, inputs, average)


def plain_forward(net, kind: str, variables, constants, inputs, average='none') -> jax.Array:
    """Logits [B, K] of raw inputs [B, ...] as they are, or the mean over their transforms."""
    return mean_forward(net, kind, None, variables, constants, 0, {'inputs': inputs}, average)


def _logits(
    session: Session,
    task: Task,
    variables,
    done: Callable[[], None] = lambda: None,
    average: str = 'none',
):
    call = calls.forward(session.mesh)

    def logits(ids, view: int = 0, settings=None, view_seed: int = 0) -> np.ndarray:
        ids = list(ids)
        outputs = []
        for fed in session.placement.each(ids, view):
            outputs.append(
                call(
                    task.net,
                    task.preprocess,
                    settings,
                    variables,
                    session.constants,
                    np.uint32(view_seed),
                    fed,
                    average,
                )
            )
            if len(outputs) > 2:  # not further ahead of the device than two batches
                outputs[-3].block_until_ready()
            done()
        parts = zip(jax.device_get(outputs), ids, strict=True)
        return np.concatenate([output[item['mask'] > 0] for output, item in parts])

    return logits


def cache_batches(
    session: Session, cache: CachePlan, view: int, rows: slice = slice(None)
) -> list[dict]:
    """The batches that a view of a cache's examples, or of some rows of them, is labelled in."""
    ids = session.placement.in_order(cache.examples[rows])
    return mixing.with_partners(ids, cache.views, cache.views.seed, view, cache.examples)


def cache_facts(session: Session, cache: CachePlan) -> dict:
    """What a cache's logits are made from: the manifest's `cache`, which opening the cache compares."""
    return {
        'teachers': [cache.external.identity]
        if cache.external
        else [
            {
                'name': member.recipe.name,
                'variables_sha256': store.manifest(session.workdir / member.recipe.name)[
                    'variables_sha256'
                ],
            }
            for member in cache.members
        ],
        **_own_facts(session, cache),
    }


def where_written(session: Session) -> dict:
    """The circumstances under which logits come out bit for bit the same."""
    return {
        'jax': jax.__version__,
        'kernels': kernels.ROUNDING,
        'backend': backend.name(),
        'devices': [session.mesh.shape[axis] for axis in ('data', 'model')],
        'batch_size': session.run.evaluation_batch_size,
    }


@functools.cache
def open_checked(session: Session, cache: CachePlan) -> logit_cache.LogitCache:
    """A complete cache, once a process: digests checked, fields compared, rows recomputed.

    Where a teacher's folder is gone, the teachers' names alone are compared and no row is recomputed.
    """
    folder = session.workdir / cache.recipe.name
    at_hand = hosts.first(
        lambda: all(
            store.is_complete(session.workdir / member.recipe.name) for member in cache.members
        )
    )
    if not at_hand:
        return logit_cache.open_cache(folder, _own_facts(session, cache))
    opened = logit_cache.open_cache(folder, cache_facts(session, cache))
    hosts.first(lambda: _check_rows(session.alone, cache, opened))
    return opened


def _check_rows(session: Session, cache: CachePlan, opened: logit_cache.LogitCache) -> None:
    """UserError where rows of the first or the last view are not the teachers' logits."""
    average = cache.settings.tta
    members = [load(session, teacher, average=average) for teacher in cache.teachers]

    def recomputed(view: int):
        size = session.run.evaluation_batch_size
        first = cache_batches(session, cache, view, slice(size))
        rows = np.arange(int(first[0]['mask'].sum()))
        total = np.zeros((len(rows), opened.num_classes), np.float32)
        for logits in members:
            total += logits(first, view, cache.views, cache.views.seed)
        return rows, total / len(members)

    # A person's own function or model may not give the same bits twice.
    repeatable = cache.external is None or cache.external.settings.kind == 'logits'
    here = where_written(session)
    exact = repeatable and opened.facts['written'] == here
    opened.check_rows(recomputed, exact, here)


def _own_facts(session: Session, cache: CachePlan) -> dict:
    return {
        'data': session.data.fingerprint,
        'transfer': list(cache.settings.transfer),
        'view_function': {
            'version': views.VERSION,
            'prng': draws.PRNG,
            **differing(cache.views),
        },
        'views': cache.settings.views,
        'dtype': cache.settings.dtype,
        **({'top': cache.settings.top} if cache.settings.dtype == 'topk' else {}),
        **({'tta': cache.settings.tta} if cache.settings.tta != 'none' else {}),
        'num_classes': session.data.num_classes,
        'preprocess': session.data.preprocess,
    }
