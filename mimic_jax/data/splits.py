"""A source divided into train, validation, test and unlabelled examples, all addressed by index."""

import hashlib
import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mimic_jax.data import duplicates, kinds, scale
from mimic_jax.data.dataset import Dataset
from mimic_jax.data.scale import Scale
from mimic_jax.data.settings import Data
from mimic_jax.errors import UserError


def divide(
    inputs: np.ndarray,
    labels: np.ndarray,
    regions: Mapping[str, int],
    num_classes: int,
    content: str,
    data: Data,
    digests: np.ndarray | None = None,
    transferred: int = 0,
) -> Dataset:
    """The splits that `data` asks for.

    inputs: [N, ...].  labels: [N], or [N, K] of real values.  regions: the sizes of the parts that both
    hold one after another: 'pool', labelled examples; 'unlabelled'; 'test' and 'validation', the source's
    own splits.
    content: the hash of the arrays.  digests: [N, 16] of the inputs (see `duplicates`), by which
    equal examples are found; None keeps all and counts none. Unlabelled images that equal a validation
    or test image are left out.
    transferred: how many of the unlabelled ones, the last, are those of `data.transfer`.

    Raises:
      UserError: as `draw`; a limit on the unlabelled examples below the first of `data.transfer`;
        no training example that is not a twin, where twins are dropped.
    """
    pool, unlabelled, own_test = (regions[key] for key in ('pool', 'unlabelled', 'test'))
    own_validation = regions.get('validation', 0)
    drawn = draw(data, pool, own_test, own_validation)
    ends = np.cumsum([pool + unlabelled, own_test, own_validation])
    own, held = (np.arange(*pair, dtype=np.int32) for pair in itertools.pairwise(ends))
    test = own[: data.test or own_test] if own_test else drawn.test
    validation = _of_own_validation(held, data) if own_validation else drawn.validation
    train = drawn.train
    rest = np.concatenate([drawn.rest, np.arange(pool, pool + unlabelled, dtype=np.int32)])
    removed = cut = 0
    twins = None
    if digests is not None:
        # Equal features, unlike equal pixels, may well be of different things.
        if inputs.ndim == 4:
            held_out = np.concatenate([validation, test, own, held])
            equal = duplicates.among(digests[rest], digests[held_out])
            rest, removed = rest[~equal], int(equal.sum())
        train, twins = _twins(digests, train, validation, test, drop=data.twins == 'drop')
    if data.unlabelled >= 0:
        cut = _cut(rest >= pool + unlabelled - transferred, data.unlabelled)
        rest = rest[: data.unlabelled]
    splits = {'train': train, 'validation': validation, 'test': test, 'unlabelled': rest}
    known, fingerprint, units = _labelled(labels, splits, num_classes, content, data)
    return Dataset(
        inputs=inputs,
        labels=known,
        splits=splits,
        num_classes=num_classes,
        fingerprint=fingerprint,
        preprocess=data.preprocess,
        removed=removed,
        cut=cut,
        twins=twins,
        scale=units,
    )


def _labelled(
    labels: np.ndarray,
    splits: Mapping[str, np.ndarray],
    num_classes: int,
    content: str,
    data: Data,
) -> tuple[np.ndarray, str, Scale | None]:
    """The labels that are known, the hash of content, splits and noise, and real values' scale.

    labels: classes [N] int32, or values [N, K] in the targets' units.
    """
    known = kinds.of(labels).unknown(len(labels), num_classes)
    for name in ('train', 'validation', 'test'):
        known[splits[name]] = labels[splits[name]]
    fingerprint = hashlib.sha256(content.encode())
    if data.label_noise:
        train = splits['train']
        known[train] = _flipped(known[train], num_classes, data)
        fingerprint.update(known[train].tobytes())
    for name in sorted(splits):
        fingerprint.update(name.encode() + splits[name].tobytes())
    if kinds.of(labels) is kinds.CLASSES:
        return known, fingerprint.hexdigest(), None
    found = scale.fit(known[splits['train']])
    return found.standardise(known), fingerprint.hexdigest(), found


class Drawn(NamedTuple):
    """The pool's examples by what they are for; `validation` and `test` where the source has none."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    rest: np.ndarray


def draw(data: Data, pool: int, own_test: int, own_validation: int = 0) -> Drawn:
    """Divides `pool` labelled examples, beside so many of the source's own test and validation splits.

    Raises:
      UserError: more asked for than there are, or none to train, validate or test on.
    """
    order = np.random.default_rng(data.seed).permutation(pool).astype(np.int32)
    test = order[:0]
    if own_test:
        _take('test', data.test, own_test)
    elif not data.test:
        raise UserError(
            'config.data.test is 0 and the data has no test split of its own; '
            'set how many examples to test on'
        )
    else:
        test, order = order[_take('test', data.test, pool)], order[data.test :]
    validation = order[:0]
    if not own_validation:
        validation = order[_take('validation', data.validation, len(order))]
        order = order[data.validation :]
    train = order[_take('train', data.train, len(order))] if data.train else order
    if not len(validation) and not own_validation:
        raise UserError('config.data.validation is 0; set how many examples to validate on')
    if not len(train):
        raise UserError('no examples are left to train on; lower config.data.validation or test')
    return Drawn(train, validation, test, order[len(train) :])


def _of_own_validation(held: np.ndarray, data: Data) -> np.ndarray:
    """As many of a source's own validation split as are wanted, by the seed; all where it has fewer."""
    if not 0 < data.validation < len(held):
        return held
    order = np.random.default_rng([data.seed, len(held)]).permutation(len(held))
    return held[np.sort(order[: data.validation])]


def _twins(
    digests: np.ndarray,
    train: np.ndarray,
    validation: np.ndarray,
    test: np.ndarray,
    drop: bool,
) -> tuple[np.ndarray, dict[str, int]]:
    """The training examples, without those that equal a held-out one where they are to be dropped.

    Returns them and the counts `test_in_train`, `validation_in_train`, `test_in_validation`, of examples
    of the first split that equal one of the second, and `dropped`.
    """

    def count(found: np.ndarray, others: np.ndarray) -> int:
        return int(duplicates.among(digests[found], digests[others]).sum())

    counts = {
        'test_in_train': count(test, train),
        'validation_in_train': count(validation, train),
        'test_in_validation': count(test, validation),
        'dropped': 0,
    }
    if drop:
        equal = duplicates.among(digests[train], digests[np.concatenate([validation, test])])
        train, counts['dropped'] = train[~equal], int(equal.sum())
        if not len(train):
            raise UserError(
                'every training example equals a validation or test example; set config.data.twins to '
                "'keep', or give other examples"
            )
    return train, counts


def _cut(transferred: np.ndarray, limit: int) -> int:
    """How many unlabelled examples of config.data.transfer, marked in [n] bool, lie beyond `limit`."""
    total, cut = int(transferred.sum()), int(transferred[limit:].sum())
    if total and cut == total:
        before = len(transferred) - total
        raise UserError(
            f'config.data.unlabelled is {limit}, and {before} unlabelled examples of the data itself '
            f'come first, so that none of the {total} of config.data.transfer is used; '
            f'set it to -1 for all, or above {before}'
        )
    return cut


def _flipped(labels: np.ndarray, num_classes: int, data: Data) -> np.ndarray:
    """Labels of which the part `data.label_noise` names another class, each as likely as the next."""
    random = np.random.default_rng([data.seed, len(labels)])
    chosen = random.permutation(len(labels))[: round(data.label_noise * len(labels))]
    flipped = labels.copy()
    flipped[chosen] += random.integers(1, num_classes, len(chosen), dtype=np.int32)
    flipped[chosen] %= num_classes
    return flipped


def _take(name: str, wanted: int, available: int) -> slice:
    if wanted > available:
        raise UserError(
            f'config.data.{name} is {wanted}, but only {available} examples are left for it; set fewer for '
            'test, validation or train'
        )
    return slice(0, wanted)
