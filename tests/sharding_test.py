import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from mimic_jax.errors import UserError
from mimic_jax.runtime import sharding


def mesh(model_axis=4):
    return sharding.make_mesh(model_axis, jax.devices()[:8])


def test_mesh_has_the_axes_of_the_contract():
    for model_axis in (1, 2, 8):
        made = mesh(model_axis)
        assert dict(made.shape) == {'data': 8 // model_axis, 'model': model_axis}
        assert list(made.devices.flat) == jax.devices()[:8]


def test_devices_that_cannot_be_divided_so_are_refused():
    with pytest.raises(UserError, match='model_axis is 3, which does not divide the 8'):
        mesh(3)


@pytest.mark.parametrize(
    ('shape', 'spec'),
    [
        ((), P()),
        ((10,), P()),  # bias of the output layer
        ((252,), P()),  # divides by 4, but is narrow
        ((256,), P('model')),
        ((258,), P()),  # wide, but does not divide by 4
        ((30000,), P('model')),  # bias of a wide layer
        ((1200, 30000), P(None, 'model')),  # its kernel
        ((30000, 10), P('model')),  # kernel of the layer above
        ((5, 5, 3, 512), P(None, None, None, 'model')),
        ((5, 5, 3, 128), P()),
    ],
)
def test_wide_layers_are_split_along_their_largest_axis(shape, spec):
    found = sharding.parameter_sharding(mesh(), shape)
    assert tuple(found.spec) == tuple(spec)


def test_nothing_is_split_over_a_single_device():
    assert tuple(sharding.parameter_sharding(mesh(1), (1200, 30000)).spec) == ()


def test_pieces_of_a_state_are_disjoint_and_whole():
    state = {'kernel': np.arange(3 * 512.0).reshape(3, 512), 'step': np.float32(7)}
    placed = sharding.shard_state(mesh(), state)
    np.testing.assert_array_equal(placed['kernel'], state['kernel'])
    shards = placed['kernel'].addressable_shards
    assert len(shards) == 8
    for shard in shards:
        assert shard.data.shape == (3, 512 // 4)
        np.testing.assert_array_equal(shard.data, state['kernel'][shard.index])
    assert {shard.data.shape for shard in placed['step'].addressable_shards} == {()}


def test_a_batch_is_split_over_data_and_kept_whole_over_model():
    batch = jax.device_put(np.arange(8), sharding.batch_sharding(mesh()))
    pieces = [tuple(np.asarray(shard.data)) for shard in batch.addressable_shards]
    assert sorted(pieces) == 4 * [(0, 1, 2, 3)] + 4 * [(4, 5, 6, 7)]


def test_a_group_of_steps_keeps_its_leading_axis_whole():
    group = jax.device_put(np.zeros((3, 8)), sharding.batch_sharding(mesh(), leading=1))
    assert {shard.data.shape for shard in group.addressable_shards} == {(3, 4)}


def test_replicated_is_whole_on_every_device():
    array = jax.device_put(np.arange(8), sharding.replicated(mesh()))
    assert [shard.data.shape for shard in array.addressable_shards] == [(8,)] * 8
