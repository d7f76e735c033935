"""What writing down an ensemble's logits makes, worked out ahead."""

import dataclasses

import numpy as np

from mimic_jax.artifacts.store import Recipe
from mimic_jax.data import tta
from mimic_jax.data.settings import Views
from mimic_jax.mimic import cache_layout
from mimic_jax.mimic.cache_layout import Layout
from mimic_jax.mimic.external_plan import OwnPlan
from mimic_jax.mimic.packing import Packing
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

    def layout(self, num_classes: int, batch_size: int) -> Layout:
        """Of the cache's files.  batch_size: of the batches that it is labelled in."""
        settings = self.settings
        top = settings.top if settings.dtype == 'topk' else 0
        packing = Packing(settings.dtype, num_classes, top)
        return cache_layout.layout(len(self.examples), settings.views, packing, batch_size)

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
        if self.own:
            return float(passes)
        asked = passes * len(tta.TRANSFORMS[self.settings.tta])
        return asked * sum(member.flops for member in self.members)
