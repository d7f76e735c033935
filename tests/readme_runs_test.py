"""Documented commands on one's own data and teacher, and the sweep: as written, on less."""

import json
import shlex

import numpy as np
from conftest import ROOT, load_benchmark, load_experiment, tiny_digits
from PIL import Image
from readme_test import commands

from mimic_jax import pipeline
from mimic_jax.reporting import gather


def of_docs(*words):
    """(experiment, its config with the flags) of the documentation's command with these words."""
    (line,) = (line for line in commands() if all(word in line for word in words))
    flags = dict(word.lstrip('-').split('=', 1) for word in shlex.split(line) if '=' in word)
    path, _, presets = flags.pop('config').partition(':')
    config = load_experiment(path.split('/')[1].removesuffix('.py')).get_config(presets)
    values = {name: value for name, value in flags.items() if name.startswith('config.')}
    for name, value in values.items():
        config.update_from_flattened_dict({name.removeprefix('config.'): value})
    return path.split('/')[1].removesuffix('.py'), config


def shortened(config):
    """One epoch of one seed for every net, and one view."""
    for net in (*config.members.values(), *config.students.values()):
        net.train.epochs = 1
    for student in config.students.values():
        student.seeds = (0,)
    for cache in config.logits.values():
        cache.views = 1
    return config


def rows(workdir, name):
    report = json.loads((workdir / name / 'report.json').read_text())
    assert (workdir / name / 'report.html').is_file()
    return {row['name']: row for row in report['rows']}


def test_a_folder_of_images(tmp_path, monkeypatch, device):
    draw = np.random.default_rng(0)
    for name in ('cat', 'dog'):
        (tmp_path / 'images' / name).mkdir(parents=True)
        for number in range(12):
            pixels = draw.integers(0, 256, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / 'images' / name / f'{number}.png')
    monkeypatch.chdir(tmp_path)
    name, config = of_docs('own_data.py --config', 'root=images')
    config.data.update(validation=6, test=6)
    config.logits.ensemble.members = ('cnn_1', 'cnn_2')
    del config.members.cnn_3
    for net in (*config.members.values(), *config.students.values()):
        net.train.batch_size = 6
    pipeline.run(shortened(config), workdir=tmp_path / 'work', experiment=name, devices=device)
    found = rows(tmp_path / 'work', name)
    assert list(found) == ['one teacher', 'ensemble', 'student on labels', 'student mimicking']
    assert all(0 <= row['mean'] <= 1 for row in found.values())


def test_a_forest_as_teacher(tmp_path, monkeypatch, device):
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    name, config = of_docs('tabular_student.py')
    config.data.transfer.limit = 300
    pipeline.run(shortened(config), workdir=tmp_path, experiment=name, devices=device)
    found = rows(tmp_path, name)
    assert found['random forest']['mean'] > 0.9, 'the whole forest is fitted'
    assert found['net mimicking']['agreement'] > 0.1


def test_boosting_as_teacher(tmp_path, monkeypatch, device):
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    name, config = of_docs('tabular_values.py')
    config.data.unlabelled = 300
    pipeline.run(shortened(config), workdir=tmp_path, experiment=name, devices=device)
    report = json.loads((tmp_path / name / 'report.json').read_text())
    score, error = (row for row in report['rows'] if row['name'] == 'gradient boosting')
    assert score['metric'] == 'r2' and score['mean'] > 0.85, 'all the trees are fitted'
    assert error['metric'] == 'rmse' and 1 < error['mean'] < 2


def test_forest_and_net_stand_beside_each_other():
    benchmark = load_benchmark('tabular_student')
    rows = [benchmark.row('bytes', 35880, 11880005), benchmark.row('ms', 0.1871, 40, higher=True)]
    lines = benchmark.table(rows).splitlines()
    cells = [[cell.strip() for cell in line.split('|')[1:-1]] for line in (lines[0], *lines[2:])]
    assert cells == [
        ['', 'net', 'forest', 'ratio'],
        ['bytes', '35,880', '11,880,005', '331.1'],
        ['ms', '0.1871', '40', '0.005'],
    ]


def test_a_sweep_shares_its_teachers_and_is_gathered(tmp_path, device):
    """benchmarks/sweep.py, whose flags and names are those of the documented loop, at two points."""
    sweep = load_benchmark('sweep')
    names = []
    for rate in (0.01, 0.1):
        config = sweep.settings(tiny_digits())
        names.append(sweep.point(config, tmp_path, rate, 16, 'command', device))
    kinds = ('teacher', 'logits', 'student')
    assert [len(list(tmp_path.glob(f'{kind}-*'))) for kind in kinds] == [2, 1, 2]
    said = gather.run(tmp_path, names, 'command')
    assert 'rate_0.01_units_16' in said and 'rate_0.1_units_16' in said
    found = sweep.rows(tmp_path)
    students = ['rate 0.01 units 16', 'rate 0.1 units 16']
    assert [row['name'] for row in found] == ['one teacher', 'ensemble', *students]
    assert found[2]['model'] == '32L-16' and 'experiment' not in found[2]
