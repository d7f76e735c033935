"""Bytes a device, beside counts by hand, on a net of a few units."""

import pytest
from conftest import load_benchmark


@pytest.fixture(scope='module')
def program():
    return load_benchmark('device_memory')


@pytest.mark.parametrize('count', [1, 4])
def test_a_wide_layer_is_split_and_the_rest_is_whole(program, count):
    row = program.measure('16L-1024', 8, count, 'model')
    whole = 1845 * 16 + 16 + 183
    wide = 16 * 1024 + 1024 + 1024 * 183
    assert row['parameters'] == 4 * (whole + wide // count)
    # Momentum is as large as the parameters; a few counters come to it.
    assert 0 <= row['optimiser'] - row['parameters'] <= 64
    assert row['temporaries'] > 0
    if count == 1:
        assert row['collectives'] == {}
    else:  # at the least, every device adds its part of the logits
        assert row['collectives']['all-reduce'] >= 4 * 8 * 183


def test_devices_that_split_a_batch_exchange_the_gradients(program):
    row = program.measure('16L-1024', 8, 4, 'data')
    sizes = [1845 * 16, 16 * 1024, 1024, 1024 * 183, 183]
    assert row['parameters'] == 4 * (sum(sizes) + 16)  # biases of the linear layer are whole, too
    metrics = row['collectives']['all-reduce'] - 4 * sum(sizes)
    assert 0 <= metrics <= 4 * (16 + 32)


def test_collectives_are_read_from_a_program(program):
    text = """
      %a = f32[256,183]{1,0} all-reduce(f32[256,183]{1,0} %x), channel_id=1, to_apply=%add
      %b = (f32[10]{0}, bf16[4,2]{1,0}) all-reduce(f32[10]{0} %y, bf16[4,2]{1,0} %z), channel_id=2
      %c = s32[] all-reduce(s32[] %w), channel_id=3
      %d = f32[8,4]{1,0} all-gather(f32[2,4]{1,0} %v), dimensions={0}
      %e = f32[256,183]{1,0} fusion(f32[256,183]{1,0} %all-reduce.1), kind=kLoop
    """
    expected = {'all-reduce': 4 * 256 * 183 + 4 * 10 + 2 * 8 + 4, 'all-gather': 4 * 32}
    assert program.collectives(text) == expected


def test_the_table_is_in_mebibytes(program):
    row = {'name': '8k, 2 along data', 'parameters': 2**20, 'optimiser': 2**21, 'temporaries': 0}
    line = program.table([{**row, 'collectives': {'all-reduce': 2**19}}]).splitlines()[-1]
    assert line == '| 8k, 2 along data | 1.0 | 2.0 | 0.0 | 3.0 | 0.5 |'
