"""The views of Urban et al. 2017 as a whole: draws, order, replay, and the names of artifacts."""

import colorsys
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from mimic_jax.config.fields import differing
from mimic_jax.data import draws, preprocess, views
from mimic_jax.data.view_settings import Views

URBAN = Views(
    mirror=True, crop=24, hue=0.06, saturation=0.26, value=0.20, saturation_scale=0.21,
    value_scale=0.13,
)  # fmt: skip
JITTED = jax.jit(views.batch_views, static_argnums=4)
# Pixels run from 0 to 255; float32 and the order of sums in a product allow this difference.
TOLERANCE = 2e-3


def images(count=12, size=32):
    """Half noise, half smooth, as noise alone would hide a shift by a fraction of a pixel."""
    noise = np.random.default_rng(0).integers(0, 256, (count, size, size, 3)).astype(np.float64)
    smooth = ndimage.gaussian_filter(noise, (0, 3, 3, 0))
    smooth = (smooth - smooth.min()) / np.ptp(smooth) * 255
    return np.where(np.arange(count)[:, None, None, None] % 2, noise, smooth).astype(np.uint8)


def keys(count):
    return jax.vmap(functools.partial(draws.view_key, 5, 3))(jnp.arange(count))


@jax.jit
def drawn(seed, view, index):
    key = draws.view_key(seed, view, index)
    colour = draws.colour(key, URBAN)
    return *colour, draws.mirrored(key), draws.crop(key, 24, 32)


def slow_view(image, shifts, scales, mirrored, crop):
    """The same view by colorsys, a flip, slicing and scipy's zoom."""
    shifts, scales = np.asarray(shifts, np.float64), np.asarray(scales, np.float64)
    result = np.zeros(image.shape)
    for place in np.ndindex(image.shape[:2]):
        h, s, v = colorsys.rgb_to_hsv(*(image[place] / 255))
        s, v = np.clip(np.array([s, v]) * scales + shifts[1:], 0, 1)
        result[place] = colorsys.hsv_to_rgb((h + shifts[0]) % 1, s, v)
    if mirrored:
        result = result[:, ::-1]
    size, top, left = map(int, crop)
    part = 255 * result[top : top + size, left : left + size]
    zoomed = [ndimage.zoom(part[..., c], 32 / size, order=3) for c in range(3)]
    return np.clip(np.stack(zoomed, axis=-1), 0, 255)


def test_a_view_is_what_colorsys_and_scipy_say():
    inputs, index = images(), np.arange(12) * 4567
    result = np.asarray(JITTED(inputs, 3, index, 5, URBAN))
    assert result.dtype == np.float32 and result.shape == inputs.shape
    expected = [
        slow_view(image, *drawn(5, 3, number)) for image, number in zip(inputs, index, strict=True)
    ]
    np.testing.assert_allclose(result, expected, atol=TOLERANCE)
    assert result.min() == 0 and result.max() == 255  # the spline overshoots and is cut off


def test_order_batch_size_jit_and_loops_change_nothing_but_rounding():
    inputs, index = images(), jnp.arange(100, 112)
    whole = np.asarray(JITTED(inputs, 4, index, 9, URBAN))
    np.testing.assert_array_equal(JITTED(inputs, 4, index, 9, URBAN), whole)  # a replay
    assert not np.allclose(JITTED(inputs, 5, index, 9, URBAN), whole, atol=1)
    order = np.random.default_rng(1).permutation(12)
    close = functools.partial(np.testing.assert_allclose, rtol=0, atol=TOLERANCE)
    close(JITTED(inputs[order], 4, index[order], 9, URBAN), whole[order])
    close(views.batch_views(inputs, 4, index, 9, URBAN), whole)  # not compiled as one
    one = jax.jit(views.view, static_argnums=2)
    for image, number, expected in zip(inputs[:3], index[:3], whole[:3], strict=True):
        close(one(draws.view_key(9, 4, number), image, URBAN), expected)


def test_turning_one_augmentation_on_leaves_the_others_draws():
    inputs, index = images(6), jnp.arange(6)
    colours = Views(hue=0.06, saturation=0.26, value=0.2, saturation_scale=0.21, value_scale=0.13)
    parts = inputs
    for settings in (colours, Views(mirror=True), Views(crop=24)):
        parts = JITTED(parts, 3, index, 5, settings)
    np.testing.assert_allclose(JITTED(inputs, 3, index, 5, URBAN), parts, atol=TOLERANCE)
    shifts, _ = draws.colour(draws.view_key(5, 3, 0), colours)
    alone, factors = draws.colour(draws.view_key(5, 3, 0), Views(value=0.2))
    assert alone.tolist() == [0, 0, shifts[2]] and factors.tolist() == [1, 1]


def test_crops_are_even_in_size_and_in_place():
    drawn = np.asarray(jax.vmap(lambda key: draws.crop(key, 24, 32))(keys(20_000)))
    sizes, counts = np.unique(drawn[:, 0], return_counts=True)
    assert sizes.tolist() == list(range(24, 33))
    assert stats.chisquare(counts).pvalue > 1e-3
    for size in range(24, 32):
        places = drawn[drawn[:, 0] == size, 1:]
        table = np.zeros((33 - size, 33 - size))
        np.add.at(table, tuple(places.T), 1)  # out of range would raise
        assert places.min() == 0 and stats.chisquare(table, axis=None).pvalue > 1e-3
    assert not drawn[drawn[:, 0] == 32, 1:].any()


def test_colour_draws_are_uniform_and_independent():
    shifts, scales = jax.vmap(lambda key: draws.colour(key, URBAN))(keys(20_000))
    bounds = [(-0.06, 0.06), (-0.26, 0.26), (-0.2, 0.2), (1 / 1.21, 1.21), (1 / 1.13, 1.13)]
    drawn = np.asarray(jnp.concatenate([shifts, scales], axis=1), np.float64)
    sizes = jax.vmap(lambda key: draws.crop(key, 24, 32))(keys(20_000))[:, :1]
    for values, (low, high) in zip(drawn.T, bounds, strict=True):
        assert low - 1e-6 <= values.min() and values.max() <= high + 1e-6
        assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-3
    together = np.corrcoef(np.concatenate([drawn, sizes], axis=1).T)
    assert np.abs(together - np.eye(6)).max() < 5 / np.sqrt(20_000)


def test_scaled_views_are_over_255_whatever_type_the_view_gave():
    inputs, index = images(4), jnp.arange(4)
    white = JITTED(inputs, 0, index, 0, URBAN)
    scaled = preprocess.apply('scale', {}, white, inputs.dtype)
    np.testing.assert_allclose(scaled, np.asarray(white) / 255, rtol=1e-6)
    np.testing.assert_array_equal(preprocess.apply('scale', {}, white), white)


@pytest.mark.parametrize(
    ('settings', 'expected'),
    [
        (Views(), {}),
        (
            Views(seed=4, mirror=True, shift=2, padding='reflect'),
            {'seed': 4, 'mirror': True, 'shift': 2, 'padding': 'reflect'},
        ),
        (Views(mirror=True, padding='reflect'), {'mirror': True}),  # pads nothing
        (Views(crop=24, value_scale=0.13), {'crop': 24, 'value_scale': 0.13}),
    ],
)
def test_what_is_off_is_not_in_a_name(settings, expected):
    assert differing(settings) == expected


def test_names_of_artifacts_hold_what_differs_from_the_defaults(config, make_session):
    """The recipes of the digits experiment, word for word: another word is another artifact."""
    _, plan = make_session(config)
    drawn = {'views': {'shift': 1}, 'preprocess': 'scale'}
    trained = {'models': 1, 'training': 1}
    cache = plan.caches['ensemble'].recipe
    assert cache.config == {'views': 2, 'augmentation': {'shift': 1}, 'preprocess': 'scale'}
    assert cache.versions == {'view': 1}
    teacher = plan.members['cnn_1'].recipe
    assert teacher.config == {
        **{'model': '4c3-bn-p2-16-d.5', 'seed': 1, 'train': {'epochs': 2, 'batch_size': 50}},
        **drawn,
    }
    labels = {
        'model': '8L-32-d.5',
        'train': {'epochs': 3, 'batch_size': 50, 'learning_rate': 0.1},
        **drawn,
    }
    student, second = (net.recipe for net in plan.students['labels'])
    assert student.config == labels and second.config == {**labels, 'seed': 1}
    assert teacher.versions == student.versions == {**trained, 'view': 1}
    mimic = plan.students['mimic'][0].recipe
    assert mimic.config == {
        **{'model': '8L-32', 'target': 'logits', 'loss': {'kind': 'logits'}},
        'train': {'epochs': 3, 'learning_rate': 0.1, 'clip_norm': 4.0},
        'preprocess': 'scale',
    }
    assert mimic.versions == trained and mimic.reads == (cache.name,), 'the cache names the views'


def test_a_members_own_views_change_its_own_net_alone(config, make_session):
    """It does so setting by setting: what a member leaves out is as in config.views."""
    config.views.padding = 'reflect'
    config.members.cnn_1.views.mirror = True
    config.members.cnn_2.views.shift = 0
    _, plan = make_session(config)
    first, second = (plan.members[name] for name in ('cnn_1', 'cnn_2'))
    assert first.task.views == Views(mirror=True, shift=1, padding='reflect')
    assert first.recipe.config['views'] == {'mirror': True, 'shift': 1, 'padding': 'reflect'}
    assert views.is_identity(second.task.views) and 'views' not in second.recipe.config
    common = Views(shift=1, padding='reflect')
    assert plan.caches['ensemble'].views == plan.students['labels'][0].task.views == common
    config.views.mirror = True  # of all: the member's net stays the one it was
    _, again = make_session(config)
    assert again.members['cnn_1'].recipe.name == first.recipe.name
    config.views.seed = 5  # draws the caches' views alone
    _, again = make_session(config)
    assert again.members['cnn_1'].recipe.name == first.recipe.name
    assert again.caches['ensemble'].recipe.config['augmentation']['seed'] == 5


def test_the_version_of_views_is_named_where_there_are_any(config, make_session):
    config.views.shift = 0
    _, plan = make_session(config)
    nets = (plan.members['cnn_1'], plan.students['labels'][0])
    for net in nets:
        assert net.recipe.versions == {'models': 1, 'training': 1}
        assert 'views' not in net.recipe.config
    cache = plan.caches['ensemble'].recipe
    assert cache.versions == {} and cache.config == {'views': 2, 'preprocess': 'scale'}
