import threading

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from mimic_jax.data import batches, device_rows
from mimic_jax.runtime import backend

EXAMPLES = np.array([3, 14, 15, 92, 65, 35, 89, 79, 32, 38, 46], np.int32)
ORDER = [89, 32, 3, 38, 92, 65, 46, 35, 14, 79, 15]  # of epoch 2 with seed 1


def read(items):
    """The examples that batches name, padding left out, in order."""
    return [int(i) for item in items for i, m in zip(item['index'], item['mask'], strict=True) if m]


def order(seed, number, examples=EXAMPLES, **kwargs):
    return read(batches.epoch(examples, 4, seed, number, **kwargs))


@pytest.mark.parametrize('rows', [None, 6])
@pytest.mark.parametrize('batch_size', [1, 4, 11])
def test_an_epoch_holds_every_example_once(batch_size, rows):
    rows = rows and max(rows, batch_size)
    items = list(batches.epoch(EXAMPLES, batch_size, 0, 0, rows))
    assert sorted(read(items)) == sorted(EXAMPLES)
    assert len(items) == batches.steps(len(EXAMPLES), batch_size)
    for number, item in enumerate(items):
        real = min(batch_size, len(EXAMPLES) - number * batch_size)
        assert item['index'].shape == item['mask'].shape == (rows or batch_size,)
        assert item['index'].dtype == np.int32 and item['mask'].dtype == np.float32
        expected = [1.0] * real + [0.0] * (len(item['mask']) - real)
        np.testing.assert_array_equal(item['mask'], expected)
        assert set(item['index']) <= set(EXAMPLES), 'padding names an example that is there'


def test_order_is_a_function_of_seed_and_epoch():
    orders = {(seed, number): order(seed, number) for seed in range(3) for number in range(3)}
    for key, found in orders.items():
        assert order(*key) == found
    np.random.seed(0)  # and nothing outside decides it
    assert order(1, 2) == orders[1, 2]
    assert len({tuple(found) for found in orders.values()}) == len(orders)
    assert list(EXAMPLES) not in orders.values(), 'examples are drawn, not read in order'


def test_order_is_the_one_that_earlier_runs_had():
    """A run that goes on elsewhere, or later, must meet the same batches."""
    assert order(1, 2) == ORDER


def test_order_does_not_depend_on_batch_size_or_padding():
    whole = order(5, 7)
    assert read(batches.epoch(EXAMPLES, 3, 5, 7)) == whole
    assert order(5, 7, rows=8) == whole


def test_order_draws_every_place_about_equally():
    """Each of 5 examples stands first in about a fifth of 1000 epochs, within 5 deviations."""
    first = [order(0, number, EXAMPLES[:5])[0] for number in range(1000)]
    counts = np.array([first.count(example) for example in EXAMPLES[:5]])
    assert np.all(np.abs(counts - 200) < 5 * np.sqrt(1000 * 0.2 * 0.8)), counts


def test_in_order_keeps_the_order():
    assert read(batches.in_order(EXAMPLES, 4)) == list(EXAMPLES)
    assert list(batches.in_order(EXAMPLES[:0], 4)) == []


@pytest.mark.parametrize(
    ('count', 'batch_size', 'expected'), [(0, 4, 0), (1, 4, 1), (4, 4, 1), (5, 4, 2), (8, 4, 2)]
)
def test_steps_counts_the_batches(count, batch_size, expected):
    assert batches.steps(count, batch_size) == expected
    assert len(list(batches.in_order(np.arange(count), batch_size))) == expected


def test_rows_of_is_each_examples_position():
    rows = batches.rows_of(EXAMPLES, 100)
    assert rows.shape == (100,) and rows.dtype == np.int32
    for index in range(100):
        expected = list(EXAMPLES).index(index) if index in EXAMPLES else 0
        assert rows[index] == expected


def arrays():
    generator = np.random.default_rng(0)
    transfer = np.array([7, 2, 9, 4], np.int32)
    return {
        'inputs': generator.integers(0, 256, (12, 4, 3, 2)).astype(np.uint8),
        'labels': generator.integers(0, 5, 12).astype(np.int32),
        'teacher_logits': generator.normal(size=(4, 5)).astype(np.float16),
        'rows': batches.rows_of(transfer, 12),
    }


def ids(index):
    return {
        'index': np.array(index, np.int32),
        'mask': np.ones(len(index), np.float32),
        'view': np.int32(3),
    }


def test_gather_takes_what_the_ids_name():
    held = arrays()
    batch = batches.gather(held, ids([4, 9, 9]))
    assert set(batch) == {'inputs', 'labels', 'teacher_logits', 'index', 'mask', 'view'}
    for place, (example, row) in enumerate([(4, 3), (9, 2), (9, 2)]):
        np.testing.assert_array_equal(batch['inputs'][place], held['inputs'][example])
        assert batch['labels'][place] == held['labels'][example]
        np.testing.assert_array_equal(batch['teacher_logits'][place], held['teacher_logits'][row])
    np.testing.assert_array_equal(batch['index'], [4, 9, 9])
    assert batch['view'] == 3


def test_gather_without_a_teacher_has_no_teacher_logits():
    held = {key: value for key, value in arrays().items() if key in ('inputs', 'labels')}
    assert set(batches.gather(held, ids([0]))) == {'inputs', 'labels', 'index', 'mask', 'view'}


def test_gather_is_the_same_on_the_host_and_inside_jit():
    host = batches.gather(arrays(), ids([7, 2, 4]))
    mesh = jax.make_mesh((1,), ('data',), devices=jax.devices()[:1])
    on_device = device_rows.place(arrays(), NamedSharding(mesh, P()))
    device = jax.jit(batches.gather)(on_device, ids([7, 2, 4]))
    assert set(host) == set(device)
    for key, value in host.items():
        np.testing.assert_array_equal(value, device[key])
        assert np.asarray(value).dtype == device[key].dtype, key


def test_stack_puts_the_calls_steps_first():
    group = list(batches.in_order(EXAMPLES, 5))
    tree = batches.stack(group)
    assert tree['index'].shape == tree['mask'].shape == (3, 5)
    for number, item in enumerate(group):
        np.testing.assert_array_equal(tree['index'][number], item['index'])


def test_to_device_puts_whole_arrays_on_every_device():
    mesh = jax.make_mesh((2,), ('data',), devices=jax.devices()[:2])
    placed = device_rows.place(arrays(), NamedSharding(mesh, P()))
    for key, value in arrays().items():
        held = placed[key].flat if key == 'inputs' else placed[key]
        assert len(held.addressable_shards) == 2
        for shard in held.addressable_shards:
            np.testing.assert_array_equal(shard.data.reshape(value.shape), value)


@pytest.mark.parametrize('target', ['cpu', 'tpu'])
@pytest.mark.parametrize('shape', [(10, 12, 3), (128,), (183,), (300,)])
def test_flat_rows_are_the_rows(target, shape, monkeypatch):
    """On TPUs their columns fill whole lanes; each row stays itself, in pieces or whole."""
    array = np.random.default_rng(0).integers(0, 256, (20, *shape)).astype(np.uint8)
    where = NamedSharding(jax.make_mesh((1,), ('data',), devices=jax.devices()[:1]), P())
    index = np.array([[3, 19], [0, 3]], np.int32)
    with backend.compiling_for(target):
        for size in (device_rows.PIECE_BYTES, 1000):
            monkeypatch.setattr(device_rows, 'PIECE_BYTES', size)
            placed = device_rows.place({'array': array}, where)['array']
            found = jax.jit(lambda rows, index: rows[index])(placed, index)
            np.testing.assert_array_equal(found, array[index])
            flat = jax.tree.leaves(placed)[0]
            width = int(np.prod(shape))
            assert flat.shape == (20, width if target == 'cpu' else -(-width // 128) * 128)


@pytest.fixture
def no_thread_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize('depth', [1, 3, 100])
def test_prefetch_is_map_in_order(depth, no_thread_left):
    assert list(batches.prefetch(range(50), lambda x: x * x, depth)) == [x * x for x in range(50)]
    assert list(batches.prefetch([], abs, depth)) == []
    assert list(batches.prefetch([None, None], lambda x: x)) == [None, None]


def test_prefetch_works_in_one_other_thread(no_thread_left):
    threads = set(batches.prefetch(range(20), lambda _: threading.get_ident()))
    assert len(threads) == 1 and threading.get_ident() not in threads


def test_prefetch_runs_no_further_ahead_than_its_depth(no_thread_left):
    begun, last = [], threading.Event()

    def prepare(x):
        begun.append(x)
        if len(begun) == 5:
            last.set()
        return x

    reader = batches.prefetch(range(100), prepare, depth=3)
    assert next(reader) == 0
    # One read, three waiting, one in hand: with room for no more, the fifth is the last begun.
    assert last.wait(30)
    assert not threading.Event().wait(0.25) and begun == [0, 1, 2, 3, 4]
    reader.close()


@pytest.mark.parametrize('kind', [ValueError, KeyboardInterrupt])
def test_prefetch_raises_what_the_work_raised_after_what_came_before(kind, no_thread_left):
    def prepare(x):
        if x == 3:
            raise kind('at three')
        return x

    reader = batches.prefetch(range(10), prepare)
    assert [next(reader) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(kind, match='at three'):
        next(reader)


def test_prefetch_raises_what_the_items_raised(no_thread_left):
    def items():
        yield 1
        raise OSError('disk')

    with pytest.raises(OSError, match='disk'):
        list(batches.prefetch(items(), abs))


def test_prefetch_does_not_take_a_stray_stop_iteration_for_the_end(no_thread_left):
    with pytest.raises(RuntimeError):
        list(batches.prefetch([1, 2], lambda _: next(iter(()))))


def test_closing_prefetch_early_ends_its_thread(no_thread_left):
    reader = batches.prefetch(iter(int, 1), lambda x: x)  # endless
    assert next(reader) == 0
    reader.close()
