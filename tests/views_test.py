import functools

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from mimic_jax.config.fields import section
from mimic_jax.data import augmentation, draws, views
from mimic_jax.data.view_settings import Views
from mimic_jax.errors import UserError

SETTINGS = [
    Views(mirror=True, shift=3, padding='zero'),
    Views(mirror=True, shift=3, padding='reflect'),
    Views(shift=2),
    Views(mirror=True),
]


JITTED = jax.jit(views.batch_views, static_argnums=4)


def images(count=12, shape=(8, 7, 3), dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(dtype)


def threefry(key, high, low):
    """Threefry-2x32 with 20 rounds (Salmon et al. 2011) in plain integers."""
    bits = 0xFFFFFFFF
    schedule = [key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDA]
    high, low = (high + schedule[0]) & bits, (low + schedule[1]) & bits
    for block in range(5):
        for rotation in ((13, 15, 26, 6), (17, 29, 16, 24))[block % 2]:
            high = (high + low) & bits
            low = ((low << rotation | low >> (32 - rotation)) & bits) ^ high
        high = (high + schedule[(block + 1) % 3]) & bits
        low = (low + schedule[(block + 2) % 3] + block + 1) & bits
    return high, low


def drawn(seed, view, index, shift):
    """(mirror, row offset, column offset) of a view, worked out without jax."""
    key = threefry(threefry((0, seed), 0, view), 0, index)
    mirror_key, shift_key = threefry(key, 0, 0), threefry(key, 0, 1)
    high, low = threefry(mirror_key, 0, 0)
    offsets = []
    for position in range(2):
        a, b = threefry(shift_key, 0, position)
        offsets.append((a ^ b) % (2 * shift + 1) - shift)
    return (high ^ low) >= 2**31, *offsets


def numpy_view(image, settings, mirrored, row, column):
    """The same view by np.pad, slicing and a flip."""
    if settings.mirror and mirrored:
        image = np.fliplr(image)
    limit = settings.shift
    mode = {'zero': 'constant', 'reflect': 'reflect'}[settings.padding]
    padded = np.pad(image, ((limit, limit), (limit, limit), (0, 0)), mode=mode)
    height, width, _ = image.shape
    top, left = (limit + row, limit + column) if limit else (0, 0)
    return padded[top : top + height, left : left + width]


@pytest.mark.parametrize(
    'settings,seed,view,dtype',
    [(settings, 0, 3, np.uint8) for settings in SETTINGS]
    + [(SETTINGS[0], 2**32 - 1, 200, np.float32)],
)
def test_a_view_is_what_numpy_and_plain_integers_say(settings, seed, view, dtype):
    inputs, index = images(dtype=dtype), np.arange(12) * 4567
    result = JITTED(inputs, view, index, np.uint32(seed), settings)
    assert result.dtype == dtype
    expected = [
        numpy_view(image, settings, *drawn(seed, view, int(number), settings.shift))
        for image, number in zip(inputs, index, strict=True)
    ]
    np.testing.assert_array_equal(result, expected)
    assert not np.array_equal(result, inputs)


def test_order_batch_size_jit_and_loops_change_nothing():
    settings = SETTINGS[1]
    inputs, index = images(), jnp.arange(100, 112)
    whole = np.asarray(views.batch_views(inputs, 4, index, 9, settings))  # not compiled as one
    order = np.random.default_rng(1).permutation(12)
    np.testing.assert_array_equal(JITTED(inputs[order], 4, index[order], 9, settings), whole[order])
    parts = [JITTED(inputs[rows], 4, index[rows], 9, settings) for rows in np.split(order, 3)]
    np.testing.assert_array_equal(np.concatenate(parts), whole[order])
    one = jax.jit(views.view, static_argnums=2)
    for image, number, expected in zip(inputs[:3], index[:3], whole[:3], strict=True):
        alone = one(draws.view_key(9, 4, number), image, settings)
        np.testing.assert_array_equal(alone, expected)


def test_seed_view_and_index_each_change_the_draws():
    @jax.jit
    def offsets(seed, view):
        keys = jax.vmap(lambda index: draws.view_key(seed, view, index))(jnp.arange(64))
        return jax.vmap(lambda key: draws.offset(key, 100))(keys)

    base = offsets(0, 0)
    assert len(np.unique(base, axis=0)) > 60
    for other in (offsets(1, 0), offsets(0, 1)):
        assert np.mean(np.any(base != other, axis=1)) > 0.9
    assert not np.array_equal(offsets(1, 0), offsets(0, 1))


def test_shifts_cover_their_range_evenly_and_half_the_images_are_mirrored():
    count, shift = 20_000, 4
    keys = jax.vmap(functools.partial(draws.view_key, 0, 0))(jnp.arange(count))
    offsets = np.asarray(jax.vmap(lambda key: draws.offset(key, shift))(keys))
    mirrored = np.asarray(jax.vmap(draws.mirrored)(keys))
    pairs, times = np.unique(offsets, axis=0, return_counts=True)
    assert len(pairs) == 81 and pairs.min() == -4 and pairs.max() == 4
    # Five standard deviations of each count; the draws are fixed, so this always holds or never.
    assert np.all(np.abs(times - count / 81) < 5 * np.sqrt(count / 81))
    assert abs(mirrored.mean() - 0.5) < 5 * 0.5 / np.sqrt(count)
    assert abs(np.corrcoef(mirrored, offsets[:, 1])[0, 1]) < 5 / np.sqrt(count)


def test_turning_one_augmentation_on_leaves_the_others_draws():
    inputs, index = images(), jnp.arange(12)
    both = JITTED(inputs, 1, index, 0, Views(mirror=True, shift=2))
    mirrored = JITTED(inputs, 1, index, 0, Views(mirror=True))
    shifted_after = JITTED(mirrored, 1, index, 0, Views(shift=2))
    np.testing.assert_array_equal(both, shifted_after)


def test_identity_passes_anything_unchanged():
    frames = np.ones((3, 5), np.float32)
    assert views.batch_views(frames, 0, jnp.arange(3), 0, Views()) is frames
    key, frame = draws.view_key(0, 0, 0), frames[0]
    assert views.view(key, frame, Views()) is frame
    traced = jax.make_jaxpr(lambda x, i: views.batch_views(x, 0, i, 0, Views()))
    assert not traced(frames, jnp.arange(3)).eqns  # and costs nothing
    assert views.is_identity(Views(padding='reflect', seed=3))
    for on in ('mirror', 'shift', 'crop', 'hue', 'saturation', 'value', 'saturation_scale'):
        assert not views.is_identity(Views(**{on: 2}))
    assert not views.is_identity(Views(value_scale=0.1))


def test_ops_by_hand():
    image = np.arange(1, 7).reshape(2, 3, 1)
    np.testing.assert_array_equal(augmentation.mirror(image, True)[..., 0], [[3, 2, 1], [6, 5, 4]])
    np.testing.assert_array_equal(augmentation.mirror(image, False), image)
    moved = augmentation.shift(image, jnp.array([1, -1]), 1, 'zero')
    np.testing.assert_array_equal(moved[..., 0], [[0, 4, 5], [0, 0, 0]])
    moved = augmentation.shift(image, jnp.array([1, -1]), 1, 'reflect')
    np.testing.assert_array_equal(moved[..., 0], [[5, 4, 5], [2, 1, 2]])
    with pytest.raises(ValueError, match="'wrap'"):
        augmentation.shift(image, jnp.array([0, 0]), 1, 'wrap')


def test_settings_come_from_a_config_and_are_static():
    mapping = {'seed': 3, 'mirror': True, 'shift': 2, 'padding': 'reflect'}
    settings = section(Views, ml_collections.ConfigDict(mapping), 'config.views')
    assert settings == Views(3, True, 2, 'reflect')
    assert hash(settings) == hash(Views(3, True, 2, 'reflect'))
    for wrong, message in (
        ({'shfit': 2}, "config.views has no setting 'shfit'; did you mean 'shift'"),
        ({'padding': 'zeros'}, "did you mean 'zero'"),
        ({'shift': -1}, 'config.views.shift is -1'),
        ({'seed': 2**32}, 'config.views.seed is 4294967296'),  # jax would drop its upper bits
        ({'shift': 1.5}, 'config.views.shift is 1.5'),
        ({'crop': 1}, 'config.views.crop is 1; it must be 0'),
        ({'hue': 1.5}, 'config.views.hue is 1.5; it must be from 0 to 1'),
        ({'value_scale': -0.1}, 'config.views.value_scale is -0.1'),
    ):
        with pytest.raises(UserError, match=message):
            section(Views, wrong, 'config.views')


def test_mistakes_are_one_line():
    index = jnp.arange(3)
    for inputs, settings, message in (
        (np.ones((3, 5)), Views(mirror=True), r'augments images .* shape \(5,\)'),
        (np.ones((3, 8, 8)), Views(shift=1), r'augments images .* shape \(8, 8\)'),
        (np.ones((3, 8, 4, 1)), Views(shift=4), r'shift is 4, but images are 8×4'),
        (np.ones((3, 8, 4, 1)), Views(crop=3), r'crop is for square images, .* 8×4'),
        (np.ones((3, 8, 8, 1)), Views(crop=9), r'crop is 9, but images are 8×8'),
        (np.ones((3, 8, 8, 3)), Views(crop=6, shift=1), r'both crop and shift'),
        (np.ones((3, 8, 8, 1)), Views(value=0.1), r'changes colours, .* 1 channels'),
        (np.ones((3, 5)), Views(hue=0.1), r'augments images .* shape \(5,\)'),
    ):
        with pytest.raises(UserError, match=message) as error:
            views.batch_views(inputs, 0, index, 0, settings)
        assert '\n' not in str(error.value)


def test_settings_are_checked_against_the_data_before_any_work():
    where = 'config.members.a.views'
    views.check(Views(), (123,), where)
    views.check(Views(mirror=True, shift=7), (8, 8, 1), where)
    with pytest.raises(UserError, match=rf'{where} augments images .* shape \(123,\)'):
        views.check(Views(mirror=True), (123,), where)
    with pytest.raises(UserError, match=rf'{where}.shift is 8, but images are 8×8'):
        views.check(Views(shift=8), (8, 8, 1), where)
