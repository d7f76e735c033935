"""The plan of a baseline: k-means features with an SVM."""

import dataclasses

import numpy as np

from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.baselines import kmeans_features
from mimic_jax.baselines.settings import Baseline
from mimic_jax.config.fields import differing
from mimic_jax.data.dataset import EVALUATED, Dataset
from mimic_jax.errors import UserError

VERSION = 2  # raise when the same settings and data would give other decision values


@dataclasses.dataclass(frozen=True, eq=False)
class BaselinePlan:
    """A baseline to fit on the training examples."""

    name: str
    recipe: Recipe
    settings: Baseline
    examples: np.ndarray
    evaluated: int  # examples whose decision values the artifact holds
    parameters: int  # centroids, one bias each, SVM weights and biases
    units: int  # codes at all positions, and their sums
    model: str
    clustering: float  # FLOPs of k-means
    coding: float  # FLOPs of one image's features

    @property
    def work(self) -> dict[str, float]:
        """FLOPs by stage."""
        coded = len(self.examples) + self.evaluated
        return {'k-means': self.clustering, 'features': self.coding * coded}


def make(name: str, settings: Baseline, data: Dataset) -> BaselinePlan:
    """The plan of one entry of config.baselines.

    Parameters and units are counted as Ba & Caruana's Table 2 counts a net's: the centroids as
    filters of a VALID convolution, a bias each, 4 pooled sums a centroid, and the weights and biases
    of the SVM on them.

    Raises:
      UserError: inputs that are no images, patches that do not fit the images, more patches than the
        images hold, labels of a single class.
    """
    where = f'config.baselines.{name}'
    examples = data.splits['train']
    positions = _positions(settings, data, where)
    if settings.patches > len(examples) * positions:
        raise UserError(
            f'{where}.patches is {settings.patches}, but the {len(examples)} training images hold '
            f'only {len(examples) * positions}; lower it'
        )
    if data.scale is not None:
        raise UserError(f'{where} classifies by an SVM, but the targets are real values; remove it')
    if data.num_classes < 2:
        raise UserError(f'{where} needs at least 2 classes, the data have one; label more of them')
    size, centroids = settings.patch_size, settings.centroids
    values = size**2 * data.input_shape[2]
    products = 2 * values * centroids
    return BaselinePlan(
        name=f'baseline {name}',
        recipe=Recipe(
            'baseline', differing(settings), data.fingerprint, versions={'baseline': VERSION}
        ),
        settings=settings,
        examples=examples,
        evaluated=sum(len(data.splits[split]) for split in EVALUATED),
        parameters=(values + 1) * centroids + (4 * centroids + 1) * data.num_classes,
        units=(positions + 4) * centroids,
        model=f'{centroids}c{size}v-quadrants-svm',
        clustering=float(products) * settings.patches * settings.iterations,
        coding=float(products + 2 * values**2) * positions,
    )


def _positions(settings: Baseline, data: Dataset, where: str) -> int:
    if not data.images:
        raise UserError(
            f'{where} takes patches of images, but the inputs have shape {data.input_shape}; '
            'remove it, or give images [N, H, W, C]'
        )
    try:
        return kmeans_features.positions(data.input_shape, settings.patch_size)
    except ValueError as error:
        raise UserError(f'{where}.patch_size: {error}; lower it') from None
