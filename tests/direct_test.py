"""benchmarks/direct.py: equal trials a side, chosen on validation, and read once on other splits."""

import json

import pytest
from conftest import load_benchmark

from mimic_jax.config import experiment as experiments

direct = load_benchmark('direct')


def test_both_sides_have_equally_many_trials_and_steps():
    labels, mimic = (direct.settings(side, 6) for side in direct.SIDES)
    assert len(labels) == len(mimic) == 6 and labels[0] == mimic[0] == {}
    assert len({json.dumps(each) for each in labels}) == 6
    for side, trials in (('labels', labels), ('mimic', mimic)):
        own = experiments.read(direct.configured(side, {}, 0, (0,))).students[side]
        for chosen in trials:
            checked = experiments.read(direct.configured(side, chosen, 1, (3, 4)))
            assert set(checked.students) == {side} and checked.data.seed == 1
            net = checked.students[side]
            assert net.seeds == (3, 4) and net.target == ('logits' if side == 'mimic' else 'labels')
            assert own.train.epochs <= net.train.epochs <= 3 * own.train.epochs
            assert bool(checked.members) == (side == 'mimic')


def test_the_best_on_validation_is_tested_beside_the_experiments_own(tmp_path, monkeypatch, capsys):
    tried = {side: direct.settings(side, 3) for side in direct.SIDES}
    validation = {'labels': (0.5, 0.7, 0.6), 'mimic': (0.9, 0.8, 0.8)}
    asked = []

    def validated(side, chosen, workdir):
        return validation[side][tried[side].index(chosen)]

    def tested(side, chosen, split, workdir):
        asked.append((side, tried[side].index(chosen), split))
        return split / 10

    monkeypatch.setattr(direct, 'validated', validated)
    monkeypatch.setattr(direct, 'tested', tested)
    monkeypatch.setattr('sys.argv', ['x', '--trials=3', f'--json={tmp_path / "found.json"}'])
    direct.main()
    assert not set(direct.CHOOSING) & set(direct.TESTING)
    expected = [('labels', 0), ('labels', 1), ('mimic', 0), ('mimic', 0)]
    assert asked == [(*each, split) for each in expected for split in direct.TESTING]
    found = json.loads((tmp_path / 'found.json').read_text())
    assert [row['mean'] for row in found['rows']] == [pytest.approx(0.4)] * 4
    assert found['rows'][1]['settings'] == tried['labels'][1]
    assert [each['validation'] for each in found['trials']['mimic']] == [0.9, 0.8, 0.8]
    assert 'on labels, best of its trials' in capsys.readouterr().out
