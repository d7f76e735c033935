"""What writing down an ensemble's logits makes, worked out ahead."""

import dataclasses

import numpy as np

from mimic_jax.artifacts.store import Recipe
from mimic_jax.data.settings import Views
from mimic_jax.mimic.external_plan import OwnPlan
from mimic_jax.mimic.settings import Logits
from mimic_jax.runtime.progress import ASKING
from mimic_jax.training.plan import NetPlan


@dataclasses.dataclass(frozen=True, eq=False)
class CachePlan:
    """A logit cache: the members' mean logits on views of the transfer examples.

    own: in the members' place a teacher that was made elsewhere.
    """

    name: str
    recipe: Recipe
    settings: Logits
    views: Views
    members: tuple[NetPlan, ...]
    examples: np.ndarray
    own: OwnPlan | None = None

    @property
    def teachers(self) -> tuple[NetPlan | OwnPlan, ...]:
        return (self.own,) if self.own else self.members

    @property
    def evaluations(self) -> tuple[Recipe, ...]:
        """Of its teachers; none where its own can answer for no other examples."""
        return tuple(each.evaluation for each in self.teachers if each.evaluation)

    @property
    def answered(self) -> tuple[str, ...]:
        """The splits that its evaluations are of."""
        return tuple(self.evaluations[0].config['splits']) if self.evaluations else ()

    @property
    def kind_of_work(self) -> str:
        return f'{ASKING}{self.own.name}' if self.own else 'label'

    @property
    def work(self) -> float:
        """Forward FLOPs of all members on all views; of a teacher of one's own, answers."""
        passes = len(self.examples) * self.settings.views
        return float(passes) if self.own else passes * sum(member.flops for member in self.members)
