"""What an experiment made and what it cost: artifacts, seconds and bytes by phase."""

from collections.abc import Iterable, Set
from pathlib import Path

from mimic_jax.artifacts import store
from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.mimic.plan import Plan
from mimic_jax.reporting.part import Part


def made(plan: Plan, part: Part) -> dict[str, list[tuple[str, Recipe]]]:
    """(description, recipe) of each artifact, by phase in the phases' order.

    A phase that few experiments have is listed only where it makes something.
    """
    baselines = [(baseline.name, baseline.recipe) for baseline in plan.baselines.values()]
    answering = [*plan.asked(), *plan.external_teachers()]
    return {
        **part.before,
        'teacher': [(net.name, net.recipe) for net in plan.members.values()],
        'logits': [(f'logits {cache.name}', cache.recipe) for cache in plan.caches.values()],
        'student': [(net.name, net.recipe) for seeds in plan.students.values() for net in seeds],
        **({'baseline': baselines} if baselines else {}),
        'evaluate': [(f'answers of {each.name}', each.evaluation) for each in answering],
        **part.after,
    }


def by_phase(workdir: Path, plan: Plan, part: Part, searched: Set[str] | None) -> dict:
    """Seconds and bytes of every phase's finished artifacts, summed over all runs that made them.

    searched: names of the artifacts of a search's trials, None without a search. Those in this
    workdir count for the search, and not again for the phase that uses the chosen ones.
    """

    def finished(names: Iterable[str]) -> set[str]:
        # A cache may still be in the making: an ensemble's row needs its members alone.
        return {name for name in names if store.is_complete(workdir / name)}

    named = {
        phase: finished(recipe.name for _, recipe in group)
        for phase, group in made(plan, part).items()
    }
    if searched is not None:
        here = finished(searched)
        named = {'search': here, **{phase: names - here for phase, names in named.items()}}
    return {phase: _cost(workdir, names) for phase, names in named.items()}


def _cost(workdir: Path, names: Set[str]) -> dict:
    folders = [workdir / name for name in sorted(names)]
    return {
        'artifacts': [folder.name for folder in folders],
        'seconds': round(sum(store.manifest(folder)['seconds'] for folder in folders), 1),
        'bytes': sum(_size(folder) for folder in folders),
    }


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())
