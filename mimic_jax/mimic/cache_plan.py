"""The plan of a logit cache: whose logits, on which examples and views."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.config.fields import differing
from mimic_jax.data import tta
from mimic_jax.data.dataset import Dataset
from mimic_jax.data.view_settings import Views
from mimic_jax.errors import UserError
from mimic_jax.mimic import cache_layout, external_plan, inputs_plan
from mimic_jax.mimic.cache_layout import CacheLayout
from mimic_jax.mimic.external_plan import ExternalPlan
from mimic_jax.mimic.packing import Packing
from mimic_jax.mimic.settings import Logits
from mimic_jax.runtime.progress import ASKING
from mimic_jax.training.plan import NetPlan


@dataclasses.dataclass(frozen=True, eq=False)
class CachePlan:
    """A logit cache: the members' mean logits on views of the transfer examples.

    members: with the cache's `tta`, so that their evaluations are of what the students learn from.
    external: a teacher made elsewhere, in place of the members.
    """

    name: str
    recipe: Recipe
    settings: Logits
    views: Views
    members: tuple[NetPlan, ...]
    examples: np.ndarray
    external: ExternalPlan | None = None

    def layout(self, num_classes: int, batch_size: int) -> CacheLayout:
        """The layout of the cache's files.  batch_size: of the batches that it is labelled in."""
        settings = self.settings
        top = settings.top if settings.dtype == 'topk' else 0
        packing = Packing(settings.dtype, num_classes, top)
        return cache_layout.layout(len(self.examples), settings.views, packing, batch_size)

    @property
    def teachers(self) -> tuple[NetPlan | ExternalPlan, ...]:
        return (self.external,) if self.external else self.members

    @property
    def evaluations(self) -> tuple[Recipe, ...]:
        """The evaluations of its teachers; a teacher made elsewhere may have none."""
        return tuple(each.evaluation for each in self.teachers if each.evaluation)

    @property
    def answered(self) -> tuple[str, ...]:
        """The splits that its evaluations cover."""
        return tuple(self.evaluations[0].config['splits']) if self.evaluations else ()

    @property
    def kind_of_work(self) -> str:
        return f'{ASKING}{self.external.name}' if self.external else 'label'

    @property
    def work(self) -> float:
        """Forward FLOPs of all members on all views; the number of answers of a teacher made elsewhere."""
        passes = len(self.examples) * self.settings.views
        if self.external:
            return float(passes)
        asked = passes * len(tta.TRANSFORMS[self.settings.tta])
        return asked * sum(member.flops for member in self.members)


def make(
    name: str, settings: Logits, common: Views, data: Dataset, members: Mapping[str, NetPlan]
) -> CachePlan:
    """The plan of a cache.  common: config.views.  members: the plans of config.members."""
    examples = transfer_set(name, settings, data)
    augmentation = views_of(name, settings, common, data)
    _check_answers(settings, data, f'config.logits.{name}')
    external = None
    if settings.source.path:
        external = external_plan.make(name, settings, augmentation, examples, data)
    chosen = tuple(_averaged(members[member], settings.tta) for member in settings.members)
    inputs = inputs_plan.in_recipe(augmentation, data)
    recipe = Recipe(
        phase='logits',
        config={
            **differing(settings),
            **({'source': external.identity} if external else {}),
            **({'augmentation': inputs.pop('views')} if 'views' in inputs else {}),
            **inputs,
        },
        data=data.fingerprint,
        reads=tuple(member.recipe.name for member in chosen),
        versions=inputs_plan.versions(augmentation, settings.tta),
    )
    return CachePlan(name, recipe, settings, augmentation, chosen, examples, external)


def _averaged(member: NetPlan, kind: str) -> NetPlan:
    if kind == 'none':
        return member
    return dataclasses.replace(member, name=f'{member.name}, tta {kind}', tta=kind)


def views_of(name: str, settings: Logits, common: Views, data: Dataset) -> Views:
    """The augmentation of a cache's examples.  common: config.views."""
    where = f'config.logits.{name}.augmentation'
    return inputs_plan.of_cache(settings.augmentation, common, data, where)


def transfer_set(name: str, settings: Logits, data: Dataset) -> np.ndarray:
    """The indices [M] of a cache's examples; UserError where `limit` is beyond them."""
    examples = data.examples(settings.transfer, f'config.logits.{name}.transfer')
    if settings.limit > len(examples):
        raise UserError(
            f'config.logits.{name}.limit is {settings.limit}, but the splits '
            f'{", ".join(settings.transfer)} hold {len(examples)} examples; lower it'
        )
    return examples[: settings.limit or None]


def _check_answers(settings: Logits, data: Dataset, where: str) -> None:
    """UserError unless a cache's answers can be averaged and kept as its settings have it."""
    tta.check(settings.tta, data.input_shape, f'{where}.tta')
    if settings.tta != 'none' and settings.source.path:
        raise UserError(
            f"{where}.tta averages a net's answers, and this cache has a teacher made elsewhere; set it "
            "to 'none' and let the teacher average"
        )
    if settings.dtype == 'topk' and data.scale is not None:
        raise UserError(
            f"{where}.dtype is 'topk', which keeps the likeliest classes, but the targets are real values; "
            "set it to 'float16'"
        )
    if settings.dtype == 'topk' and settings.top >= data.num_classes:
        raise UserError(
            f'{where}.top is {settings.top}, but there are {data.num_classes} classes; keep fewer, or '
            "set dtype to 'float16'"
        )
