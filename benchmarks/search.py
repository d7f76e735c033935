"""Regret after 50 trials of this package's Gaussian-process search, beside Optuna's and others'.

    pip install -e '.[bench]'
    python benchmarks/search.py --json=results/search.json

Five functions to minimise, a study a seed. Peers that are not installed are skipped. `--functions`,
`--samplers` and `--seeds` choose a part. Every study is a file in the folder `--runs` and is not
run again. So the whole can be run in pieces, one after another or side by side; the command above
then puts them together. Each sampler has its own defaults. A regret is how far the trial with the
best observed value lies above the function's minimum, by its true value, without noise.
"""

import argparse
import dataclasses
import importlib.util
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import record

from mimic_jax.ops.text import aligned
from mimic_jax.runtime import files
from mimic_jax.search.sampler import GaussianProcessSampler
from mimic_jax.search.space import Parameter
from mimic_jax.search.study import distributions, suggest

OURS = 'mimic_jax'
NEEDS = {'GPSampler': 'torch', 'bayesian-optimization': 'bayes_opt', 'TPE': '', 'random': ''}
HARTMANN_WEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
HARTMANN_3 = (
    np.array([[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]]),
    1e-4
    * np.array([[3689, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]]),
)
HARTMANN_6 = (
    np.array(
        [
            [10, 3, 17, 3.5, 1.7, 8],
            [0.05, 10, 17, 0.1, 8, 14],
            [3, 3.5, 1.7, 10, 17, 8],
            [17, 8, 0.05, 10, 0.1, 14],
        ]
    ),
    1e-4
    * np.array(
        [
            [1312, 1696, 5569, 124, 8283, 5886],
            [2329, 4135, 8307, 3736, 1004, 9991],
            [2348, 1451, 3522, 2883, 3047, 6650],
            [4047, 8828, 8732, 5743, 1091, 381],
        ]
    ),
)


@dataclasses.dataclass(frozen=True)
class Function:
    """`value` takes the parameters [D] in the space's order; `noise` is a standard deviation."""

    space: dict
    value: Callable[[np.ndarray], float]
    minimum: float
    noise: float = 0.0


def branin(x):
    a, b = x
    bowl = (b - 5.1 / (4 * np.pi**2) * a**2 + 5 / np.pi * a - 6) ** 2
    return bowl + 10 * (1 - 1 / (8 * np.pi)) * np.cos(a) + 10


def hartmann(scales, centres):
    return lambda x: -HARTMANN_WEIGHTS @ np.exp(-np.sum(scales * (x - centres) ** 2, axis=1))


def ellipsoid(x):
    """A shifted ellipsoid of 18 axes, curved 1 to 100 times, the first six on a log scale."""
    units = np.concatenate([(np.log10(x[:6]) + 4) / 4, (x[6:] + 5) / 10])
    centres = 0.5 + 0.35 * np.sin(np.arange(1, 19))
    curvatures = 10 ** (2 * ((7 * np.arange(18)) % 18) / 17)
    return float(np.sum(curvatures * (units - centres) ** 2))


def numbered(count, low, high, log=False, first=0):
    entry = {'low': low, 'high': high, 'log': log}
    return {f'x{number:02}': entry for number in range(first, first + count)}


def functions() -> dict[str, Function]:
    plane = {'a': {'low': -5.0, 'high': 10.0}, 'b': {'low': 0.0, 'high': 15.0}}
    eighteen = {**numbered(6, 1e-4, 1.0, log=True), **numbered(12, -5.0, 5.0, first=6)}
    return {
        'branin': Function(plane, branin, 0.39788735772973816),
        'hartmann3': Function(numbered(3, 0.0, 1.0), hartmann(*HARTMANN_3), -3.862779787332660),
        'hartmann6': Function(numbered(6, 0.0, 1.0), hartmann(*HARTMANN_6), -3.322368011415515),
        'noisy_branin': Function(plane, branin, 0.39788735772973816, noise=2.0),
        'ellipsoid18': Function(eighteen, ellipsoid, 0.0),
    }


class Record:
    """Calls a function and keeps, a trial, what it gave and when it was asked."""

    def __init__(self, function: Function, seed: int):
        self.function, self.seed = function, seed
        self.observed, self.true, self.seconds = [], [], []
        self.since = time.perf_counter()

    def __call__(self, point: dict) -> float:
        self.seconds.append(time.perf_counter() - self.since)
        true = float(self.function.value(np.array([point[name] for name in sorted(point)])))
        # The same noise in the same trial of the same seed, whatever the sampler.
        normal = np.random.default_rng([self.seed, len(self.true)]).standard_normal()
        self.true.append(true)
        self.observed.append(true + self.function.noise * normal)
        self.since = time.perf_counter()
        return self.observed[-1]

    def result(self) -> dict:
        best = [int(np.argmin(self.observed[: n + 1])) for n in range(len(self.observed))]
        return {
            'regret': [self.true[at] - self.function.minimum for at in best],
            'seconds': [round(s, 4) for s in self.seconds],
        }


def run(sampler: str, function: Function, seed: int, trials: int) -> dict:
    space = {name: Parameter(**ends) for name, ends in function.space.items()}
    record = Record(function, seed)
    if sampler == 'bayesian-optimization':
        run_bayes_opt(record, space, seed, trials)
        return record.result()
    study = optuna.create_study(sampler=optuna_sampler(sampler, space, seed))
    study.optimize(lambda trial: record(suggest(trial, space)), n_trials=trials)
    return record.result()


def optuna_sampler(name: str, space: dict, seed: int):
    if name == OURS:
        return GaussianProcessSampler(seed, distributions(space))
    peers = {
        'GPSampler': optuna.samplers.GPSampler,
        'TPE': optuna.samplers.TPESampler,
        'random': optuna.samplers.RandomSampler,
    }
    return peers[name](seed=seed)


def run_bayes_opt(record: Record, space: dict, seed: int, trials: int) -> None:
    """It has no log scales: it is given the exponents."""
    from bayes_opt import BayesianOptimization

    def value(**point):
        return -record({n: float(np.exp(v)) if space[n].log else v for n, v in point.items()})

    bounds = {name: p.scaled() for name, p in space.items()}
    optimiser = BayesianOptimization(value, bounds, random_state=seed, verbose=0)
    optimiser.maximize(init_points=5, n_iter=trials - 5)


def main():
    known = functions()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--functions', default=','.join(known))
    parser.add_argument('--samplers', default=','.join([OURS, *NEEDS]))
    parser.add_argument('--seeds', type=int, default=10)
    parser.add_argument('--trials', type=int, default=50)
    parser.add_argument('--runs', type=Path, default=Path('runs') / 'search')
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter('ignore')
    done = {}
    samplers = installed(arguments.samplers.split(','))
    names = arguments.functions.split(',')
    for name in names:
        for sampler in samplers:
            for seed in range(arguments.seeds):
                key = f'{name} {sampler} {seed} {arguments.trials}'
                path = arguments.runs / f'{key.replace(" ", "_")}.json'
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    found = run(sampler, known[name], seed, arguments.trials)
                    files.write_atomically(path, json.dumps(found, indent=1) + '\n')
                done[key] = json.loads(path.read_text())
    medians = {(n, s): summary(done, n, s, arguments) for n in names for s in samplers}
    show(medians, names, samplers)
    if arguments.json:
        regrets = {', '.join(pair): found['regrets'] for pair, found in medians.items()}
        seconds = round(sum(sum(run['seconds']) for run in done.values()), 1)
        rows = compared(medians, names, samplers)
        record.save(arguments.json, rows, seconds=seconds, regrets=regrets)


def installed(samplers: list[str]) -> list[str]:
    for sampler in samplers:
        if NEEDS.get(sampler) and importlib.util.find_spec(NEEDS[sampler]) is None:
            print(f'{sampler} is left out: {NEEDS[sampler]} is not installed')
    return [s for s in samplers if not NEEDS.get(s) or importlib.util.find_spec(NEEDS[s])]


def summary(done: dict, name: str, sampler: str, arguments) -> dict:
    """Over seeds: regrets, and seconds a suggestion in a study's second half."""
    keys = [f'{name} {sampler} {seed} {arguments.trials}' for seed in range(arguments.seeds)]
    regrets = [done[key]['regret'][-1] for key in keys]
    seconds = [s for key in keys for s in done[key]['seconds'][arguments.trials // 2 :]]
    return {'regrets': regrets, 'median': np.median(regrets), 'seconds': np.median(seconds)}


def show(medians: dict, names: list[str], samplers: list[str]) -> None:
    print(f'{"median regret":14}', *(f'{sampler:>22}' for sampler in samplers))
    for name in names:
        print(f'{name:14}', *(f'{medians[name, s]["median"]:22.3g}' for s in samplers))
    print(f'{"s a suggestion":14}')
    for name in names:
        print(f'{name:14}', *(f'{medians[name, s]["seconds"]:22.3f}' for s in samplers))


def compared(medians: dict, names: list[str], samplers: list[str]) -> list[dict]:
    """Rows of our regret against each other sampler's, then of our seconds."""
    return [
        record.cost(f'{name}: {what}, {peer}', *(medians[name, s][key] for s in (OURS, peer)))
        for key, what in (('median', 'median regret'), ('seconds', 's a suggestion'))
        for name in names
        for peer in samplers
        if OURS in samplers and peer != OURS
    ]


def table(rows: list[dict]) -> str:
    """Median regrets as Markdown, a line a function and a column a sampler."""
    found = {}
    for row in rows:
        name, _, rest = row['name'].partition(': ')
        what, _, peer = rest.partition(', ')
        if what == 'median regret':
            found.setdefault(name, {OURS: row['ours']})[peer] = row['peer']
    samplers = list(next(iter(found.values())))
    body = [[name, *(f'{regrets[s]:.2g}' for s in samplers)] for name, regrets in found.items()]
    return aligned([['', *samplers], *body])


if __name__ == '__main__':
    main()
