"""Mixup and CutMix: draws, pixels by hand, labels, and replay through caches, students and files."""

import sys

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from conftest import refusal
from scipy import stats

from mimic_jax import pipeline
from mimic_jax.data import draws, mixing, views
from mimic_jax.data.view_settings import Views
from mimic_jax.mimic import ensemble, logits, students, teachers
from mimic_jax.models import nets
from mimic_jax.training import loop, losses, train_step

COUNT, CLASSES, SIDE = 90, 3, 6
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (COUNT, SIDE, SIDE, 3)).astype(np.uint8)
LABELS = np.arange(COUNT) % CLASSES
WEIGHTS = RANDOM.normal(size=(SIDE * SIDE * 3, CLASSES)).astype(np.float32) / 100
KINDS = {'mixup': {'mixup': 0.4}, 'cutmix': {'cutmix': 1.0}}
MODULE = """
import numpy as np
WEIGHTS = np.array({weights}, np.float32)
def linear(inputs):
    return inputs.reshape(len(inputs), -1).astype(np.float32) @ WEIGHTS
"""


_views = jax.jit(views.batch_views, static_argnums=4)


@jax.jit
def _numbers(seed, view, index):
    keys = jax.vmap(lambda number: draws.view_key(seed, view, number))(index)
    choices, centres = jax.vmap(lambda key: draws.mix(key, 4096, SIDE, SIDE))(keys)
    return jax.vmap(draws.partner)(keys), choices, centres


def by_hand(settings: Views, seed, view, index, examples, images):
    """Mixed images [n, H, W, C] and own shares [n]: NumPy, with the draws' raw numbers."""
    words, choices, centres = (np.asarray(each) for each in _numbers(seed, view, np.asarray(index)))
    others = examples[words % len(examples)]
    ones, twos = (
        np.asarray(_views(images[each], view, each, seed, Views(mirror=settings.mirror)))
        for each in (np.asarray(index), others)
    )
    made, shares = [], []
    for one, two, choice, (top, left) in zip(ones, twos, choices, centres, strict=True):
        alpha = settings.mixup or settings.cutmix
        share = float(stats.beta.ppf((int(choice) + 0.5) / 4096, alpha, alpha))
        if settings.mixup:
            made.append(share * one.astype(np.float64) + (1 - share) * two)
        else:
            half = int(np.sqrt(1 - share) * SIDE) // 2
            image = one.copy()
            rows = slice(max(top - half, 0), max(top + half, 0))
            columns = slice(max(left - half, 0), max(left + half, 0))
            image[rows, columns] = two[rows, columns]
            inside = np.zeros((SIDE, SIDE), bool)
            inside[rows, columns] = True
            share = 1 - inside.mean()
            made.append(image)
        shares.append(share)
    return np.array(made), np.array(shares)


def config(tmp_path, **augmentation):
    """A config with one teacher, a cache of its logits, one of a function's, and a student of each."""
    np.savez(tmp_path / 'data.npz', images=IMAGES, labels=LABELS)
    name = f'linear_{tmp_path.name}'.replace('-', '_')
    (tmp_path / f'{name}.py').write_text(MODULE.format(weights=WEIGHTS.tolist()))
    train = {'epochs': 1, 'batch_size': 20, 'learning_rate': 0.01}
    student = {'target': 'logits', 'model': '4', 'loss': {'kind': 'logits'}, 'train': train}
    return ml_collections.ConfigDict({
        'data': {
            'name': 'npz', 'root': str(tmp_path / 'data.npz'), 'train': 50, 'validation': 15,
            'test': 15, 'preprocess': 'image',
        },
        'views': {'seed': 3, 'mirror': True, **augmentation},
        'members': {'net': {'model': '5', 'train': train}},
        'logits': {
            'net': {'members': ('net',), 'views': 2, 'dtype': 'float32'},
            'own': {
                'views': 2, 'dtype': 'float32',
                'source': {'kind': 'callable', 'path': (f'{name}:linear',)},
            },
        },
        'students': {
            'net': {**student, 'logits': 'net'},
            'own': {**student, 'logits': 'own'},
            'labels': {'model': '4', 'train': train},
        },
    })  # fmt: skip


def drawn_keys(count):
    return jax.vmap(lambda number: draws.view_key(5, 3, number))(jnp.arange(count))


def test_weights_are_of_beta_and_boxes_of_their_areas():
    for alpha in (0.2, 1.0, 3.0):
        draw = jax.jit(jax.vmap(lambda key, a=alpha: mixing.draw(key, Views(mixup=a), 8, 8).own))
        found = np.asarray(draw(drawn_keys(20_000)))
        # To the 4,096 steps of the table, and five deviations of a part of 20,000 draws.
        assert stats.kstest(found, stats.beta(alpha, alpha).cdf).statistic < 5 * 0.5 / 141 + 1e-3
    mix = jax.jit(jax.vmap(lambda key: mixing.draw(key, Views(cutmix=1.0), 40, 40)))(
        drawn_keys(4000)
    )
    rows, columns = (np.asarray(each) for each in mix.box)
    np.testing.assert_allclose(mix.own, 1 - rows.sum(1) * columns.sum(1) / 1600, atol=1e-6)
    # A side s meets the image in s − s²/4 of its length on average, and s² is uniform; sides are cut
    # down to even numbers of pixels.
    assert 0 < np.mean(mix.own) - (1 - (1 / 2 - 1 / 5 + 1 / 48)) < 0.04


def test_partners_are_any_example_and_the_same_in_any_batch():
    examples = np.array([4, 7, 9, 30, 31])
    ids = [{'index': np.arange(start, start + 500)} for start in (0, 500, 1000, 1500)]
    found = mixing.with_partners(ids, Views(mixup=1.0), 3, 2, examples)
    partners = np.concatenate([item['partner'] for item in found])
    numbers, times = np.unique(partners, return_counts=True)
    assert numbers.tolist() == examples.tolist()
    assert np.all(np.abs(times - 400) < 5 * np.sqrt(400))
    order = np.random.default_rng(0).permutation(2000)[:7]
    (again,) = mixing.with_partners([{'index': order}], Views(cutmix=1.0), 3, 2, examples)
    np.testing.assert_array_equal(again['partner'], partners[order])
    for seed, view in ((3, 1), (4, 2)):
        other = mixing.with_partners(ids, Views(mixup=1.0), seed, view, examples)
        assert np.mean(other[0]['partner'] != found[0]['partner']) > 0.6
    assert 'partner' not in mixing.with_partners(ids, Views(mirror=True), 3, 2, examples)[0]


@pytest.mark.parametrize('kind', KINDS)
def test_mixed_images_are_those_by_hand(kind):
    settings, examples = Views(mirror=True, **KINDS[kind]), np.arange(10, 40)
    index = np.array([11, 38, 12, 25, 30])
    (ids,) = mixing.with_partners([{'index': index}], settings, 7, 4, examples)
    batch = {
        **ids,
        'view': 4,
        'inputs': IMAGES[index],
        'partner_inputs': IMAGES[ids['partner']],
    }
    made = jax.jit(views.of_batch, static_argnums=2)(batch, 7, settings)
    expected, shares = by_hand(settings, 7, 4, index, examples, IMAGES)
    assert made.dtype == (np.float32 if kind == 'mixup' else np.uint8)
    np.testing.assert_allclose(made, expected, atol=1e-3)
    np.testing.assert_allclose(mixing.own_shares(batch, 7, settings), shares, atol=1e-6)


def test_labels_mix_like_soft_targets():
    """The loss of a mixed example is cross-entropy with λ of one label and 1 − λ of the other."""
    settings = Views(mixup=1.0)
    module = nets.of_spec('', CLASSES)
    task = train_step.Task(module, 'scale', settings, train_step.Loss(), train_step.Train(), 1)
    state = train_step.create_train_state(task, (2, 2, 1), 0, 5, {'inputs': {}})
    batch = {
        'inputs': np.zeros((4, 2, 2, 1), np.uint8), 'index': np.arange(4), 'view': 1,
        'labels': np.array([0, 1, -1, 2]), 'partner': np.array([1, 0, 0, 2]),
        'partner_labels': np.array([1, -1, 0, 2]), 'mask': np.ones(4, np.float32),
    }  # fmt: skip
    answers = RANDOM.normal(size=(4, CLASSES)).astype(np.float32)
    found = train_step._mixed_losses(state, answers, batch)
    own = np.asarray(mixing.own_shares(batch, 5, settings))
    soft = np.zeros((4, CLASSES))
    for row, share in enumerate(own):
        for label, part in (
            (batch['labels'][row], share),
            (batch['partner_labels'][row], 1 - share),
        ):
            if label >= 0:
                soft[row, label] += part
    expected = -np.sum(soft * np.asarray(jax.nn.log_softmax(answers)), axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    heavier = np.where(own >= 0.5, batch['labels'], batch['partner_labels'])
    np.testing.assert_array_equal(train_step._counted_labels(state, batch), heavier)
    assert np.array_equal(found[3], losses.cross_entropy(answers, batch['labels'])[3])


@pytest.mark.parametrize(('kind', 'placement'), [('mixup', 'device'), ('cutmix', 'host')])
def test_a_cache_has_the_logits_of_the_images_that_its_student_sees(
    tmp_path, make_session, kind, placement, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    settings = config(tmp_path, **KINDS[kind])
    settings.run = {'placement': placement, 'evaluation_batch_size': 16}
    session, plan = make_session(settings)
    teachers.make(session, plan.members['net'])
    trained = ensemble.on_inputs(session, plan.members['net'])
    images = np.asarray(session.data.inputs)
    for name, teacher in (('net', trained), ('own', lambda x: x.reshape(len(x), -1) @ WEIGHTS)):
        logits.run(session, plan.caches[name])
        cache = ensemble.open_checked(session, plan.caches[name])  # replays rows of both views
        (student,) = plan.students[name]
        targets = students.targets(session, student)
        for view in (0, 1):
            seen, _ = by_hand(
                plan.caches[name].views, 3, view, cache.examples, cache.examples, images
            )
            kept = cache.view(view)
            np.testing.assert_allclose(kept, teacher(seen.astype(np.float32)), atol=2e-4)
            rows = targets.teacher(view)['rows']
            batch = _first_batch(session, student, targets, view)
            shown = views.of_batch(batch, targets.view_seed, student.task.views)
            of = rows[np.asarray(batch['index'])]
            np.testing.assert_allclose(shown, seen[of], atol=1e-3)
            np.testing.assert_array_equal(batch['teacher_logits'], kept[of])


def _first_batch(session, student, targets, view):
    """The first batch of the student's epoch of that number, as the training step gets it."""
    each = loop._Loop(None, student, targets, session)._epoch(view, 0, view, targets.teacher(view))
    _, fed = next(iter(each))
    return fed.batch(fed.items, 0)


def test_views_for_a_teacher_elsewhere_are_mixed_too_and_students_train(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    settings = config(tmp_path, cutmix=1.0)
    del settings.members.net, settings.logits.net, settings.students.net

    def run(phase, **more):
        pipeline.run(
            settings, workdir=tmp_path / 'work', experiment='mix', phase=phase,
            devices=jax.devices()[:1], **more,
        )  # fmt: skip

    run('views', output=str(tmp_path / 'views'))
    folder = tmp_path / 'views'
    examples = np.load(folder / 'examples.npy')
    arrays = np.load(next((tmp_path / 'work').glob('data-*/inputs.npy')))
    whole = Views(seed=3, mirror=True, cutmix=1.0)
    for view in (0, 1):
        seen, _ = by_hand(whole, 3, view, examples, examples, arrays)
        np.testing.assert_array_equal(np.load(folder / f'view_00{view}.npy'), seen)
    run('all')
    assert (tmp_path / 'work' / 'mix' / 'report.json').is_file()


OWN = """
import jax
import jax.numpy as jnp
def dim(key, image):
    return image * jax.random.uniform(key, (image.shape[0], 1, 1))
def wide(key, image):
    return jnp.concatenate([image, image], axis=1)
def whole(key, image):
    return image.astype(jnp.int32)
def fails(key, image):
    raise RuntimeError('no such thing')
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module with views of a person's own; its name."""
    name = f'own_{tmp_path.name}'.replace('-', '_')
    (tmp_path / f'{name}.py').write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def test_a_view_of_ones_own_is_replayed_and_named_by_its_sources(own, tmp_path, make_session):
    settings = config(tmp_path, own=f'{own}:dim', own_version='2')
    _, plan = make_session(settings)
    cache = plan.caches['net']
    call = jax.jit(views.batch_views, static_argnums=4)
    index = np.array([5, 3])
    made = np.asarray(call(IMAGES[index], 1, index, 3, cache.views))
    np.testing.assert_array_equal(
        call(IMAGES[index[::-1]], 1, index[::-1], 3, cache.views), made[::-1]
    )
    mirrored = call(IMAGES[index], 1, index, 3, Views(mirror=True))
    for number, image, found in zip(index, mirrored, made, strict=True):
        key = draws.own(draws.view_key(3, 1, number))
        expected = image * jax.random.uniform(key, (SIDE, 1, 1))
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    names = {key: item.recipe.name for key, item in plan.caches.items()}
    again = make_session(settings)[1].caches
    assert {key: item.recipe.name for key, item in again.items()} == names
    settings.views.own_version = '3'
    assert make_session(settings)[1].caches['net'].recipe.name != names['net']
    settings.views.own_version = '2'
    file = tmp_path / f'{own}.py'
    file.write_text(OWN + '\n# edited\n')
    edited = make_session(settings)[1]
    assert edited.caches['net'].recipe.name != names['net']
    assert edited.members['net'].recipe.name != plan.members['net'].recipe.name
    message = refusal(call, IMAGES[index], 2.0, index, 3, cache.views)
    assert 'was edited during this run' in message


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('wide', 'makes uint8 of shape (6, 12, 3) of an image of shape (6, 6, 3)'),
        ('whole', 'makes int32 of shape (6, 6, 3)'),
        ('fails', 'fails on an image of shape (6, 6, 3) (no such thing)'),
        ('missing', "has no 'missing'"),
    ],
)
def test_a_view_of_ones_own_is_held_to_its_form_before_any_work(own, name, words):
    message = refusal(views.check, Views(own=f'{own}:{name}'), (6, 6, 3), 'config.views')
    assert message.startswith('config.views.own') and words in message


def test_views_of_a_student_and_of_a_cache(tmp_path, make_session, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    settings = config(tmp_path)
    before = make_session(settings)[1]
    settings.students.labels.views = {'cutout': 2}
    settings.logits.net.augmentation = {'mirror': False, 'mixup': 0.3}
    after = make_session(settings)[1]
    assert after.students['labels'][0].task.views == Views(mirror=True, cutout=2)
    assert after.caches['net'].views == Views(seed=3, mixup=0.3)
    assert after.students['net'][0].task.views == Views(mixup=0.3)
    changed = {
        name
        for name in ('labels', 'net', 'own')
        if before.students[name][0].recipe.name != after.students[name][0].recipe.name
    }
    assert changed == {'labels', 'net'}
    assert before.members['net'].recipe.name == after.members['net'].recipe.name
    settings.students.net.views = {'cutout': 2}
    message = refusal(make_session, settings)
    assert 'set config.logits.net.augmentation' in message
