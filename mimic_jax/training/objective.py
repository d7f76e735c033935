"""What training minimises: the table of losses, mixes of them, and how they change over training."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mimic_jax.artifacts import objects, source
from mimic_jax.config.fields import Entries
from mimic_jax.data.dataset import Dataset
from mimic_jax.errors import UserError, first_line
from mimic_jax.training import losses
from mimic_jax.training.loss_settings import OF_VALUES, Loss, LossKind, NamedLoss
from mimic_jax.training.settings import Train


class Given(NamedTuple):
    """What a loss is computed from.

    logits: [B, K].  teacher: the teacher's logits [B, K], None without one.  labels: [B], or values
    [B, K].  mask: [B].
    constants: of the training.  smoothing: of labels.  temperature: at this step.
    """

    logits: jax.Array
    teacher: jax.Array | None
    labels: jax.Array
    mask: jax.Array
    constants: Mapping
    smoothing: float
    temperature: jax.Array | float


def _standardised(loss: LossKind, given: Given) -> jax.Array:
    moments = given.constants['logit_mean'], given.constants['logit_deviation']
    return losses.squared_error_on_standardised_logits(
        given.logits, given.teacher, *moments, loss.scale
    )


def _own(loss: LossKind, given: Given) -> jax.Array:
    function = _function(loss.own)
    each = function(given.logits, given.teacher, given.labels, given.mask)
    if jnp.shape(each) != given.mask.shape:
        raise UserError(
            f'loss.own is {loss.own!r}, which gives shape {list(jnp.shape(each))} for '
            f'{len(given.mask)} examples; it must give one number an example'
        )
    return each.astype(jnp.float32)


TABLE: Mapping[str, Callable[[LossKind, Given], jax.Array]] = {
    'cross_entropy': lambda loss, given: losses.cross_entropy(
        given.logits, given.labels, given.smoothing
    ),
    'squared_error': lambda loss, given: losses.squared_error(
        given.logits, given.labels, loss.scale
    ),
    'teacher_labels': lambda loss, given: losses.cross_entropy(
        given.logits, jnp.argmax(given.teacher, axis=1), given.smoothing
    ),
    'logits': lambda loss, given: losses.squared_error_on_logits(
        given.logits, given.teacher, loss.scale
    ),
    'standardised_logits': _standardised,
    'probabilities': lambda loss, given: losses.squared_error_on_probabilities(
        given.logits, given.teacher, loss.scale
    ),
    'kl': lambda loss, given: losses.kl_divergence(given.logits, given.teacher, given.temperature),
    'hinton': lambda loss, given: losses.hinton(
        given.logits,
        given.teacher,
        given.labels,
        given.temperature,
        loss.soft_weight,
        given.smoothing,
    ),
    'z_scores': lambda loss, given: losses.kl_of_z_scores(
        given.logits, given.teacher, given.temperature
    ),
    'dkd': lambda loss, given: losses.decoupled(
        given.logits,
        given.teacher,
        given.labels,
        given.temperature,
        loss.target_weight,
        loss.others_weight,
    ),
    'dist': lambda loss, given: losses.correlation_distance(
        given.logits,
        given.teacher,
        given.mask,
        given.temperature,
        loss.class_weight,
        loss.example_weight,
    ),
    'own': _own,
}


def example_losses(
    loss: Loss,
    logits: jax.Array,
    batch: Mapping,
    constants: Mapping,
    smoothing: float = 0.0,
    progress: jax.Array | float = 0.0,
) -> jax.Array:
    """The loss of each example, [B].

    batch: labels [B] or values [B, K], mask [B] and, for a student on logits, teacher_logits [B, K].
    smoothing: of labels, in cross-entropies.  progress: of the training, from 0 at its first step to 1 at
    its last, which temperatures and weights may follow.
    """

    def of(kind: LossKind) -> jax.Array:
        temperature = _between(kind.temperature, kind.temperature_end, progress)
        given = Given(
            logits,
            batch.get('teacher_logits'),
            batch['labels'],
            batch['mask'],
            constants,
            smoothing,
            temperature,
        )
        return TABLE[kind.kind](kind, given)

    if isinstance(loss, NamedLoss) and _digests(_own_kinds(loss)) != loss.own_sha256:
        raise UserError('a loss of your own was edited while the run went on; run again')
    if loss.kind != 'mix':
        return of(loss)
    return sum(
        _between(term.weight, term.weight_end, progress) * of(term) for term in loss.terms.values()
    )


def suited(loss: Loss, train: Train, data: Dataset, where: str) -> Loss:
    """The loss that these data can have; of real values the squared error stands for cross-entropy.

    where: the place of the loss's net in the config.

    Raises:
      UserError: a loss, or smoothed labels, of the other kind of targets.
    """
    each = loss.terms if loss.kind == 'mix' else {'': loss}
    paths = {name: f'{where}.loss' + (f'.terms.{name}' if name else '') for name in each}
    if data.scale is None:
        for name, kind in each.items():
            if kind.kind == 'squared_error':
                raise UserError(
                    f"{paths[name]}.kind is 'squared_error', which is for real-valued targets, and "
                    "these are classes; set it to 'cross_entropy', or config.data.task to 'regression'"
                )
        return loss
    if train.label_smoothing:
        raise UserError(
            f'{where}.train.label_smoothing is {train.label_smoothing:g}, but the targets are real '
            'values, which have no classes to spread over; set it to 0'
        )
    terms = {}
    for name, kind in each.items():
        wanted = 'squared_error' if kind.kind == 'cross_entropy' else kind.kind
        if wanted not in OF_VALUES:
            raise UserError(
                f'{paths[name]}.kind is {wanted!r}, which compares classes, but the targets are real '
                f'values; choose one of {", ".join(OF_VALUES)}, or a mix of them'
            )
        terms[name] = dataclasses.replace(kind, kind=wanted)
    return dataclasses.replace(loss, terms=Entries(terms)) if loss.kind == 'mix' else terms['']


def named(loss: Loss, where: str, num_classes: int, taught: bool, values: bool = False) -> Loss:
    """The settings, with the digests of a person's own functions where they have any.

    taught: whether there are a teacher's logits.  values: whether targets are real values.

    Raises:
      UserError: a function that is not there, fails, or gives another shape than one number an example.
    """
    own = _own_kinds(loss, where)
    if not own:
        return loss
    for at, kind in own.items():
        _function(kind.own, f'{at}.own')
    each = (num_classes + 1,)  # with K examples, a loss of one number a class would pass
    logits = jax.ShapeDtypeStruct((*each, num_classes), 'float32')
    batch = {
        'labels': logits if values else jax.ShapeDtypeStruct(each, 'int32'),
        'mask': jax.ShapeDtypeStruct(each, 'float32'),
        **({'teacher_logits': logits} if taught else {}),
    }
    moments = dict.fromkeys(('logit_mean', 'logit_deviation'), np.ones(num_classes))
    try:
        jax.eval_shape(lambda *given: example_losses(loss, *given, moments), logits, batch)
    except UserError:
        raise
    except Exception as error:  # whatever the function does
        reason = first_line(error)
        raise UserError(f'{where} has a function of its own that fails ({reason})') from error
    values = {name: getattr(loss, name) for name in Loss.__dataclass_fields__}
    return NamedLoss(**values, own_sha256=_digests(own))


def _own_kinds(loss: Loss, where: str = 'loss') -> dict[str, LossKind]:
    """The losses of a person's own by their place in the config, in the order of their names."""
    if loss.kind != 'mix':
        return {where: loss} if loss.kind == 'own' else {}
    terms = loss.terms.items()
    return {f'{where}.terms.{name}': term for name, term in terms if term.kind == 'own'}


def _digests(own: Mapping[str, LossKind]) -> str:
    """The digests of their sources. An object that was passed to a run is named by its content."""
    paths = {at: kind.own for at, kind in own.items() if not kind.own.startswith(objects.PREFIX)}
    return ' '.join(source.identity(path, f'{at}.own')['sha256'] for at, path in paths.items())


def _function(path: str, where: str = 'loss.own') -> Callable:
    if path.startswith(objects.PREFIX):
        return objects.kept(path, where)
    return source.load(path, where)


def _between(start: float, end: float | None, progress: jax.Array | float) -> jax.Array | float:
    return start if end is None else start + (end - start) * progress
