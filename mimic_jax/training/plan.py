"""A net to train, worked out ahead, and what it is trained towards."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.data import views
from mimic_jax.data.dataset import EVALUATED
from mimic_jax.training.train_step import Task

FORWARD_AND_BACKWARD = 3  # a training step's FLOPs over a forward pass's


@dataclasses.dataclass(frozen=True, eq=False)
class NetPlan:
    """A net to train: a teacher member, or a student with one of its seeds.

    examples: indices [n] of the training examples.  tta: the name of the transforms (`data.tta`) that its
    answers to validation and test examples are the mean over.
    """

    name: str
    recipe: Recipe
    task: Task
    examples: np.ndarray
    seed: int
    flops: float  # forward, one example
    parameters: int
    units: int | None  # as Ba & Caruana count them, where a net has any
    cache: object = None  # a student's logit cache (`mimic.cache_plan.CachePlan`)
    budget: float = 0.0  # parameters that its width was solved for; 0: none
    tta: str = 'none'

    @property
    def evaluation(self) -> Recipe:
        """The recipe of its evaluation on the validation and test examples."""
        of, versions = {'splits': list(EVALUATED)}, {}
        if self.tta != 'none':
            of, versions = {**of, 'tta': self.tta}, {'view': views.VERSION}
        return Recipe('evaluate', of, self.recipe.data, (self.recipe.name,), versions)

    @property
    def model(self) -> str:
        return self.task.net.name

    @property
    def partners(self) -> np.ndarray:
        """Indices that views may mix into an example: those that its logit cache has, or its own."""
        return self.cache.examples if self.cache else self.examples

    @property
    def work_per_step(self) -> float:
        return FORWARD_AND_BACKWARD * self.flops * self.task.train.batch_size

    @property
    def work(self) -> float:
        """FLOPs of the whole training."""
        return self.work_per_step * self.task.steps


@dataclasses.dataclass(frozen=True, eq=False)
class Targets:
    """The views that a net sees, and the logits that it is trained towards.

    view_seed: the seed of the views; a net that is trained on labels has views of its own seed.
    views: epoch e sees view e modulo `views`; 0 gives every epoch a new view.
    teacher: the rows of the logit cache at a view, `teacher(view) -> {teacher_logits [M, K], rows [N]}`;
    None when training on labels.  constants: further arrays of the loss.
    """

    view_seed: int
    views: int = 0
    teacher: Callable[[int], Mapping] | None = None
    constants: Mapping = dataclasses.field(default_factory=dict)
