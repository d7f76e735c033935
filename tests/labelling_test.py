"""Caches with averaged answers, and of each kind of packing, from teacher to student and report."""

import json

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from conftest import refusal

from mimic_jax import pipeline
from mimic_jax.data import tta, views
from mimic_jax.mimic import ensemble, logits, teachers
from mimic_jax.planning import artifacts, programs

COUNT, CLASSES = 90, 5
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (COUNT, 6, 7, 1)).astype(np.uint8)
LABELS = np.arange(COUNT) % CLASSES
KINDS = ('float16', 'float32', 'int8', 'topk')


@pytest.fixture
def settings(tmp_path):
    """One teacher; a cache and a student for each kind of packing, and a cache of averaged answers."""
    np.savez(tmp_path / 'data.npz', images=IMAGES, labels=LABELS)
    train = {'epochs': 1, 'batch_size': 25, 'learning_rate': 0.01}
    cache = {'members': ('net',), 'views': 2, 'top': 2}
    student = {'target': 'logits', 'model': '4', 'loss': {'kind': 'kl'}, 'train': train}
    return ml_collections.ConfigDict({
        'data': {
            'name': 'npz', 'root': str(tmp_path / 'data.npz'), 'train': 50, 'validation': 15,
            'test': 15, 'preprocess': 'scale',
        },
        'views': {'seed': 3, 'shift': 1},
        'members': {'net': {'model': '3c3-5', 'train': train}},
        'logits': {kind: {**cache, 'dtype': kind} for kind in KINDS},
        'students': {kind: {**student, 'logits': kind} for kind in KINDS},
        'run': {'evaluation_batch_size': 32},
    })  # fmt: skip


def test_transforms_by_numpy():
    images = RANDOM.integers(0, 256, (3, 5, 4, 2)).astype(np.uint8)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode='reflect')
    for kind, parts in tta.TRANSFORMS.items():
        assert sum(part.weight for part in parts) == 1, kind
    expected = {
        (False, (0, 0)): images,
        (True, (0, 0)): images[:, :, ::-1],
        (False, (-1, -1)): padded[:, :-2, :-2],
        (False, (1, 1)): padded[:, 2:, 2:],
        (True, (-1, -1)): padded[:, :, ::-1][:, :-2, :-2],
        (True, (1, 1)): padded[:, :, ::-1][:, 2:, 2:],
    }
    found = tta.TRANSFORMS['mirror_shift']
    assert {(part.mirrored, part.offset) for part in found} == set(expected)
    for part in found:
        assert part.weight == (0.25 if part.offset == (0, 0) else 0.125)
        np.testing.assert_array_equal(
            tta.apply(part, jnp.asarray(images)), expected[part.mirrored, part.offset]
        )


@pytest.mark.parametrize('kind', ['mirror', 'mirror_shift'])
def test_a_cache_has_the_mean_over_the_transforms_of_each_view(settings, make_session, kind):
    settings.students = {}
    settings.logits = {
        'plain': {'members': ('net',), 'dtype': 'float32'},
        'mean': {'members': ('net',), 'dtype': 'float32', 'tta': kind, 'views': 2},
    }
    session, plan = make_session(settings)
    teachers.make(session, plan.members['net'])
    cache = plan.caches['mean']
    assert cache.recipe.config['tta'] == kind and 'tta' not in plan.caches['plain'].recipe.config
    logits.run(session, cache)
    opened = ensemble.open_checked(session, cache)
    net = ensemble.on_inputs(session, plan.members['net'])
    raw = np.asarray(session.data.inputs)[cache.examples]
    for view in (0, 1):
        seen = views.batch_views(raw, view, cache.examples, 3, cache.views)
        parts = tta.TRANSFORMS[kind]
        expected = sum(part.weight * np.asarray(net(tta.apply(part, seen))) for part in parts)
        np.testing.assert_allclose(opened.view(view), expected, atol=1e-5)
        assert np.abs(opened.view(view) - np.asarray(net(seen))).max() > 1e-4


def test_the_ensembles_row_shows_the_targets_that_students_learn_from(settings, tmp_path):
    settings.logits = {
        'plain': {'members': ('net',)},
        'mean': {'members': ('net',), 'tta': 'mirror'},
    }
    settings.students = {}
    data = {'workdir': tmp_path, 'experiment': 'tta', 'devices': jax.devices()[:1]}
    session, plan = pipeline.run(settings, **data)
    member, (averaged,) = plan.members['net'], plan.caches['mean'].members
    assert plan.caches['plain'].members == (member,)
    assert member.evaluation.config == {'splits': ['validation', 'test']}
    assert averaged.recipe.name == member.recipe.name
    assert averaged.evaluation.name != member.evaluation.name
    test = session.data.splits['test']
    images, labels = np.asarray(session.data.inputs)[test], session.data.labels[test]
    net = ensemble.on_inputs(session, member)
    expected = (np.asarray(net(images)) + np.asarray(net(images[:, :, ::-1]))) / 2
    found = np.load(tmp_path / averaged.evaluation.name / 'test.npy')
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - np.asarray(net(images))).max() > 1e-4
    np.testing.assert_allclose(ensemble.on_inputs(session, averaged)(images), expected, atol=1e-5)
    rows = json.loads((tmp_path / 'tta/report.json').read_text())['rows']
    rows = {row['name']: row for row in rows}
    assert rows['mean']['values'] == [np.mean(expected.argmax(1) == labels)]
    assert rows['plain']['values'] == rows['net']['values']
    assert rows['mean']['model'] == f'{rows["plain"]["model"]}, tta mirror'
    assert 'mean over 2 transforms' in rows['mean']['note'] and rows['plain']['note'] is None
    made = {
        recipe.name for work in artifacts.works(plan, session.placement) for recipe in [work.recipe]
    }
    assert averaged.evaluation.name in made


def test_students_learn_from_every_kind_and_the_report_says_what_each_takes(settings, tmp_path):
    pipeline.run(settings, workdir=tmp_path / 'work', experiment='kinds', devices=jax.devices()[:1])
    report = json.loads((tmp_path / 'work/kinds/report.json').read_text())
    caches = {cache['name']: cache for cache in report['caches']}
    each = {kind: cache['bytes'] / (2 * cache['examples']) for kind, cache in caches.items()}
    assert each == {'float16': 10, 'float32': 20, 'int8': 9, 'topk': 2 * 3 + 2}
    errors = {kind: cache['largest_error'] for kind, cache in caches.items()}
    assert errors['float32'] == 0 < errors['float16'] < errors['int8'] < errors['topk']
    assert caches['topk']['top'] == 2
    assert {row['name'] for row in report['rows']} >= set(KINDS)
    page = (tmp_path / 'work/kinds/report.md').read_text()
    assert '| topk | top 2 | 60 × 2 | 8 |' in page
    html = (tmp_path / 'work/kinds/report.html').read_text()
    assert 'largest error' in html
    pipeline.run(  # opens every cache again
        settings, workdir=tmp_path / 'work', experiment='kinds', devices=jax.devices()[:1]
    )


def test_what_does_not_fit_is_refused_in_a_line(settings, make_session, tmp_path):
    settings.logits.topk.top = 5
    assert 'config.logits.topk.top is 5, but there are 5 classes' in refusal(make_session, settings)
    settings.logits.topk.top = 2
    np.savez(tmp_path / 'table.npz', features=RANDOM.normal(size=(COUNT, 4)), labels=LABELS)
    settings.views, settings.data.preprocess = {}, 'feature'
    settings.data.root, settings.members.net.model = str(tmp_path / 'table.npz'), '5'
    settings.logits.int8.tta = 'mirror'
    message = refusal(make_session, settings)
    assert "config.logits.int8.tta is 'mirror'" in message and 'shape (4,)' in message


@pytest.mark.parametrize('kind', KINDS)
def test_programs_of_mixed_views_averaged_answers_and_packed_logits_are_planned(
    settings, make_session, kind
):
    settings.views.mixup, settings.logits[kind].tta = 0.4, 'mirror'
    session, plan = make_session(settings)
    (student,), cache = plan.students[kind], plan.caches[kind]
    programs.train(student, session.placement)
    programs.label(plan.members['net'], session.placement, cache.views, cache.settings.tta)
    works = {work.what: work for work in artifacts.works(plan, session.placement)}
    each = {'float16': 10, 'float32': 20, 'int8': 9, 'topk': 8}[kind]
    assert works[f'logits {kind}'].disk == 2 * len(cache.examples) * each
