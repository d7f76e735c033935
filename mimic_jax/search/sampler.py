"""An Optuna sampler: Bayesian optimisation with a Gaussian process, in JAX and without torch."""

from collections.abc import Mapping

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import intersection_search_space
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import qmc

from mimic_jax.search import acquisition
from mimic_jax.search.space import Parameter, Space, from_unit, snap, to_unit

STARTUP = 10


class GaussianProcessSampler(BaseSampler):
    """Expected improvement by `acquisition.suggest`, after `startup` quasi-random trials.

    A suggestion depends only on the seed, the trial's number and the trials in the study. So a search
    that was killed goes on as it would have, and workers need only share the storage.

    Args:
      seed: of everything random.
      search_space: distributions by name. When left out, the distributions that all finished trials
        share; the trials before the first finished one are then drawn at random.
      startup: finished and running trials before the first that the Gaussian process suggests.

    Running trials are fantasised. A failed trial counts as the worst finished one; otherwise its
    point would be suggested, and fail, for ever. It is left out once its point runs again. Pruned
    trials have no outcome and are left out.
    """

    def __init__(
        self,
        seed: int = 0,
        search_space: Mapping[str, BaseDistribution] | None = None,
        startup: int = STARTUP,
    ):
        self._seed = seed
        self._search_space = search_space
        self._startup = startup

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The numbers without a step that have more than one value."""
        known = self._search_space
        if known is None:
            known = intersection_search_space(study.get_trials(deepcopy=False))
        return {name: known[name] for name in sorted(known) if _parameter(known[name])}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, float | int]:
        if not search_space:
            return {}
        if len(study.directions) > 1:
            raise ValueError('GaussianProcessSampler takes one objective')
        space = {name: _parameter(distribution) for name, distribution in search_space.items()}
        trials = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        inputs, outcomes, pending = _known(trials, space, study.direction)
        if len(inputs) + len(pending) < self._startup or not len(inputs):
            point = self._quasi_random(len(space), trial.number)
        else:
            point = acquisition.suggest(
                inputs,
                outcomes,
                pending,
                lambda points: snap(space, points),
                (self._seed, trial.number),
            )
        return from_unit(space, point)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ):
        """A random value, for a first trial, a category, or a parameter that some trials lack."""
        seed = np.random.SeedSequence([self._seed, trial.number, *name.encode()])
        sampler = RandomSampler(seed=int(seed.generate_state(1)[0]))
        return sampler.sample_independent(study, trial, name, distribution)

    def _quasi_random(self, dimensions: int, number: int) -> np.ndarray:
        """A scrambled Sobol sequence's point: workers that start together get different ones."""
        sequence = qmc.Sobol(dimensions, rng=np.random.default_rng([self._seed]))
        return sequence.fast_forward(number).random(1)[0] if number else sequence.random(1)[0]


def _parameter(distribution: BaseDistribution) -> Parameter | None:
    """The distribution as a parameter; None for a category, a number with a step, or one value."""
    if isinstance(distribution, FloatDistribution) and distribution.step is None:
        whole = False
    elif isinstance(distribution, IntDistribution) and distribution.step == 1:
        whole = True
    else:
        return None
    if distribution.single():
        return None
    return Parameter(float(distribution.low), float(distribution.high), distribution.log, whole)


def _known(
    trials: list[FrozenTrial], space: Space, direction: StudyDirection
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs [N, D] and outcomes [N], lower better, of finished trials; inputs of running ones."""
    usable = [t for t in trials if all(name in t.params for name in space)]
    complete = [t for t in usable if t.state == TrialState.COMPLETE and np.isfinite(t.value)]
    running = [t for t in usable if t.state == TrialState.RUNNING]
    again = [t.params for t in (*complete, *running)]
    failed = [t for t in usable if t.state == TrialState.FAIL and t.params not in again]
    sign = -1.0 if direction == StudyDirection.MAXIMIZE else 1.0
    outcomes = [sign * t.value for t in complete]
    if outcomes:
        outcomes += [max(outcomes)] * len(failed)
        complete += failed
    return (
        to_unit(space, [t.params for t in complete]),
        np.array(outcomes, np.float64),
        to_unit(space, [t.params for t in running]),
    )
