"""The plan of teachers, caches and students: every recipe, before anything is computed."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Protocol

from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.data.dataset import Dataset
from mimic_jax.data.view_settings import Views
from mimic_jax.mimic import cache_plan, inputs_plan, net_plan
from mimic_jax.mimic.cache_plan import CachePlan
from mimic_jax.mimic.external_plan import ExternalPlan
from mimic_jax.mimic.settings import Logits, Member, Student
from mimic_jax.training.plan import NetPlan


class Planned(Protocol):
    """What another room plans to make: an artifact, and its name in words."""

    name: str
    recipe: Recipe


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """Everything that an experiment makes.

    alignments, baselines, decodings: planned by other rooms. `decodings`, of speech, are by a row's
    source, one for each seed.
    """

    members: Mapping[str, NetPlan]
    caches: Mapping[str, CachePlan]
    students: Mapping[str, tuple[NetPlan, ...]]
    alignments: tuple[Planned, ...] = ()
    baselines: Mapping[str, Planned] = dataclasses.field(default_factory=dict)
    decodings: Mapping[str, tuple[Planned, ...]] = dataclasses.field(default_factory=dict)

    def external_teachers(self) -> Iterator[ExternalPlan]:
        """Every teacher made elsewhere that answers for validation or test examples."""
        for cache in self.caches.values():
            if cache.external and cache.external.evaluation:
                yield cache.external

    def asked(self) -> Iterator[NetPlan]:
        """Every net that is evaluated: those that are trained, and members whose caches average answers."""
        yield from self.nets()
        averaged = [
            net for cache in self.caches.values() for net in cache.members if net.tta != 'none'
        ]
        yield from {net.evaluation.name: net for net in averaged}.values()

    def nets(self) -> Iterator[NetPlan]:
        """Every net that is trained: members, then students by name and seed."""
        yield from self.members.values()
        for seeds in self.students.values():
            yield from seeds


def make(
    members: Mapping[str, Member],
    logits: Mapping[str, Logits],
    students: Mapping[str, Student],
    common: Views,
    data: Dataset,
) -> Plan:
    """The plan of teachers, caches and students.

    common: the views of the caches, and of nets that set none of their own.

    Raises:
      UserError: a model that does not parse or fit, '?' without a budget, a net beyond its budget, a
        split that is not there.
    """
    common = inputs_plan.checked(common, data, 'config.views')
    teachers = {
        name: net_plan.member(f'teacher {name}', settings, common, data, f'config.members.{name}')
        for name, settings in members.items()
    }
    caches = {
        name: cache_plan.make(name, settings, common, data, teachers)
        for name, settings in logits.items()
    }

    def student(name: str, seed: int) -> NetPlan:
        title, where = f'student {name}, seed {seed}', f'config.students.{name}'
        return net_plan.student(title, students[name], seed, common, data, caches, where)

    planned = {
        name: tuple(student(name, seed) for seed in settings.seeds)
        for name, settings in students.items()
    }
    return Plan(teachers, caches, planned)


def trial(
    name: str,
    settings: Member | Student,
    common: Views,
    data: Dataset,
    caches: Mapping[str, CachePlan],
) -> NetPlan:
    """The net of a search's trial: an artifact like any member's, or like a student's first seed.

    common: as in `make`.  caches: of the experiment's plan.
    """
    if isinstance(settings, Student):
        seed, where = settings.seeds[0], 'config.search.student'
        return net_plan.student(name, settings, seed, common, data, caches, where)
    return net_plan.member(name, settings, common, data, 'config.search.member')
