"""The benchmark of searches: its functions, and studies that are kept."""

import json
import sys

import numpy as np
import pytest
from conftest import load_benchmark

pytest.importorskip('optuna', reason='the search extra is not installed')


@pytest.fixture(scope='module')
def benchmark():
    return load_benchmark('search')


# Where the functions are known to be lowest (Surjanovic & Bingham's library of test functions).
LOWEST = {
    'branin': (np.pi, 2.275),
    'noisy_branin': (-np.pi, 12.275),
    'hartmann3': (0.114614, 0.555649, 0.852547),
    'hartmann6': (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573),
    'ellipsoid18': (
        *10 ** (4 * (0.5 + 0.35 * np.sin(np.arange(1, 7))) - 4),
        *(10 * (0.5 + 0.35 * np.sin(np.arange(7, 19))) - 5),
    ),
}


@pytest.mark.parametrize('name', LOWEST)
def test_functions_have_their_minimum_where_it_is_known(benchmark, name):
    function, at = benchmark.functions()[name], np.array(LOWEST[name])
    assert len(function.space) == len(at)
    assert function.value(at) == pytest.approx(function.minimum, abs=2e-5)
    ends = np.array([(p['low'], p['high']) for p in function.space.values()])
    draws = np.random.default_rng(0).uniform(*ends.T, (500, len(at)))
    assert min(function.value(x) for x in draws) > function.minimum
    assert all(low < x < high for x, (low, high) in zip(at, ends, strict=True))


def test_studies_are_kept_and_put_together(benchmark, tmp_path, monkeypatch, capsys):
    def run(*arguments):
        arguments = ('search.py', f'--runs={tmp_path / "runs"}', '--trials=3', *arguments)
        monkeypatch.setattr(sys, 'argv', list(arguments))
        benchmark.main()

    monkeypatch.setattr(benchmark, 'OURS', 'TPE')  # what is compared here is quick
    run('--functions=branin', '--samplers=TPE,random', '--seeds=2')
    run('--functions=hartmann3', '--samplers=random', '--seeds=2')
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / 'runs').iterdir()}
    assert len(kept) == 6 and 'hartmann3_random_1_3.json' in kept
    out = tmp_path / 'search.json'
    run('--functions=branin,hartmann3', '--samplers=TPE,random', '--seeds=2', f'--json={out}')
    found = json.loads(out.read_text())
    for path in (tmp_path / 'runs').iterdir():
        assert kept.get(path.name, path.stat().st_mtime_ns) == path.stat().st_mtime_ns
    single = json.loads((tmp_path / 'runs' / 'branin_random_1_3.json').read_text())
    assert found['regrets']['branin, random'][1] == single['regret'][-1]
    row = next(row for row in found['rows'] if row['name'] == 'branin: median regret, random')
    median = np.median(found['regrets']['branin, random'])
    assert row['peer'] == pytest.approx(median, rel=1e-3)
    assert row['ratio'] == pytest.approx(row['peer'] / row['ours'], rel=1e-2)
    table = benchmark.table(found['rows']).splitlines()
    assert [line.split()[1] for line in table[2:]] == ['branin', 'hartmann3']
    assert float(table[2].split()[-2]) == pytest.approx(median, rel=0.06)
    assert 'median regret' in capsys.readouterr().out
