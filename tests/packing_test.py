"""Rows of logits as floats, bytes with a scale, and the largest alone: by hand, and through a cache."""

import tracemalloc

import numpy as np
import pytest
from conftest import refusal
from scipy import special

from mimic_jax.artifacts import store
from mimic_jax.mimic import cache_layout, cache_writer, logit_cache
from mimic_jax.mimic.packing import Packing

RANDOM = np.random.default_rng(0)
LOGITS = (np.round(5 * RANDOM.normal(size=(40, 12)) * 256) / 256).astype(np.float32)  # exact sums
KINDS = {'float32': 0, 'float16': 0, 'int8': 0, 'topk': 3}
BYTES = {'float32': 48, 'float16': 24, 'int8': 16, 'topk': 3 * (2 + 1) + 2}  # a row of 12 classes


def through(dtype, logits=LOGITS, top=3):
    packing = Packing(dtype, logits.shape[1], top if dtype == 'topk' else 0)
    return packing.unpack(packing.pack(logits))


def test_bytes_by_hand():
    packing = Packing('int8', 3)
    packed = packing.pack(np.array([[-2.54, 1.0, 0.0], [0, 0, 0]], np.float32))
    np.testing.assert_array_equal(packed['logits'], [[-127, 50, 0], [0, 0, 0]])
    np.testing.assert_allclose(packed['scale'], [0.02, 0])
    np.testing.assert_allclose(packing.unpack(packed), [[-2.54, 1.0, 0], [0, 0, 0]], atol=1e-6)


def test_an_error_in_bytes_is_half_a_step_at_most():
    error = np.abs(through('int8') - LOGITS)
    steps = np.abs(LOGITS).max(axis=1, keepdims=True) / 127
    assert np.all(error <= steps / 2 * (1 + 1e-5)) and (error / steps).max() > 0.45


def test_the_largest_by_hand():
    """Classes 1 and 3 are kept; of the others the mean of exp is (1 + e) / 2."""
    found = through('topk', np.array([[0.0, 7.0, 1.0, 4.5]], np.float32), top=2)
    rest = np.log((1 + np.e) / 2)
    np.testing.assert_allclose(found, [[rest, 7.0, rest, 4.5]], rtol=1e-3)


@pytest.mark.parametrize('classes', [12, 300, 70_000])
def test_the_largest_keep_their_probabilities_and_the_rest_its_own(classes):
    logits = (5 * RANDOM.normal(size=(6, classes))).astype(np.float32)
    packed = Packing('topk', classes, 5).pack(logits)
    assert packed['classes'].dtype == {12: 'uint8', 300: 'uint16', 70_000: 'uint32'}[classes]
    assert np.all(np.diff(packed['values'].astype(float), axis=1) <= 0)
    before, after = (special.softmax(each, axis=1) for each in (logits, through('topk', logits, 5)))
    kept = np.argsort(-logits, axis=1)[:, :5]
    np.testing.assert_array_equal(np.sort(packed['classes'], axis=1), np.sort(kept, axis=1))
    for row, columns in enumerate(kept):
        np.testing.assert_allclose(after[row, columns], before[row, columns], rtol=0.01)
        others = np.delete(after[row], columns)
        np.testing.assert_allclose(others, others.mean(), rtol=1e-4)


def member(error=0.0):
    def load():
        return lambda view, rows: np.roll(LOGITS, view, axis=0)[rows] + np.float32(error)

    return load


def write(folder, dtype, batch=8):
    folder.mkdir()
    packing = Packing(dtype, 12, KINDS[dtype])
    planned = cache_layout.layout(len(LOGITS), 3, packing, batch)
    statistics = cache_writer.write(folder, np.arange(40), planned, [member(-1.0), member(1.0)])
    cache = {'views': 3, 'dtype': dtype, 'num_classes': 12, 'top': KINDS[dtype]}
    store.seal(folder, {**statistics, 'cache': cache, 'written': {}})
    return folder


@pytest.mark.parametrize('parted', [False, True])
@pytest.mark.parametrize('dtype', KINDS)
def test_a_cache_of_each_kind_is_written_read_and_checked(tmp_path, monkeypatch, dtype, parted):
    """In one part a view, and in parts of 16 rows, the last of 8, in a memory-mapped file."""
    if parted:
        monkeypatch.setattr(cache_layout, 'PART_BYTES', 4 * 12 * 23)
        monkeypatch.setattr(logit_cache, 'MEMORY_BYTES', 0)
    folder = write(tmp_path / 'cache', dtype)
    names = {path.name for path in (folder / 'views').iterdir()}
    parts = {f'{view}.{part}' for view in range(3) for part in range(3)}
    assert names == (parts if parted else {'0', '1', '2'})
    cache, facts = logit_cache.open_cache(folder, {}), store.manifest(folder)
    views = [np.roll(LOGITS, view, axis=0) for view in range(3)]
    for view, logits in enumerate(views):
        kept = cache.view(view)
        assert isinstance(kept, np.memmap) == parted
        np.testing.assert_array_equal(kept, through(dtype, logits))
        rows = np.array([30, 2, 17])
        fresh = logit_cache.open_cache(folder, {})
        np.testing.assert_array_equal(fresh.rows(view, rows), kept[rows])
    error = max(np.abs(through(dtype, logits) - logits).max() for logits in views)
    assert facts['largest_error'] == pytest.approx(error) and (error == 0) == (dtype == 'float32')
    assert facts['bytes'] == 3 * 40 * BYTES[dtype]
    whole = np.concatenate([cache.view(view) for view in range(3)]).astype(np.float64)
    np.testing.assert_allclose(facts['mean'], whole.mean(0), atol=1e-9)
    np.testing.assert_allclose(facts['deviation'], whole.std(0), rtol=1e-9)
    rows = np.arange(16)
    cache.check_rows(lambda view: (rows, views[view][rows]), exact=True)
    cache.check_rows(lambda view: (rows, views[view][rows] + 1e-3), exact=False)
    for wrong in (views[0][1:17], views[0][rows] + 2):
        message = refusal(cache.check_rows, lambda view, wrong=wrong: (rows, wrong), False)
        assert 'view 0 is not what the teacher says' in message


def test_writing_goes_on_at_the_first_part_that_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_layout, 'PART_BYTES', 4 * 12 * 23)
    monkeypatch.setattr(cache_writer, 'BLOCK_PARTS', 2)
    whole = write(tmp_path / 'whole', 'int8')
    asked = []

    def dies():
        def logits(view, rows):
            if (view, rows.start) == (1, 16):
                raise KeyboardInterrupt
            return member()()(view, rows)

        return logits

    def goes_on():
        def logits(view, rows):
            asked.append((view, rows.start))
            return member()()(view, rows)

        return logits

    half = tmp_path / 'half'
    half.mkdir()
    planned = cache_layout.layout(len(LOGITS), 3, Packing('int8', 12), 8)
    with pytest.raises(KeyboardInterrupt):
        cache_writer.write(half, np.arange(40), planned, [dies])
    found = cache_writer.write(half, np.arange(40), planned, [goes_on])
    assert asked == [(1, 16), (1, 32), *((2, start) for start in (0, 16, 32))]
    facts = store.manifest(whole)
    assert found == {key: facts[key] for key in found}


def test_whoever_goes_on_keeps_the_parts_of_whoever_began(tmp_path, monkeypatch):
    """With batches of 4 a part would have 20 rows, and with batches of 8 it has 16."""
    monkeypatch.setattr(cache_layout, 'PART_BYTES', 4 * 12 * 23)
    monkeypatch.setattr(cache_writer, 'BLOCK_PARTS', 2)
    began, later = (
        cache_layout.layout(len(LOGITS), 3, Packing('int8', 12), size) for size in (8, 4)
    )
    assert cache_layout.part_rows(tmp_path, began) == began.part_rows == 16
    assert cache_layout.part_rows(tmp_path, later) == 16 != later.part_rows
    cache_writer.write(tmp_path, np.arange(40), began, [member()])
    # An older version did not note its parts: rows that do not fit are never taken for them.
    message = refusal(cache_writer.write, tmp_path, np.arange(40), later, [member()])
    assert 'holds other rows than' in message and 'delete' in message


def test_a_large_view_is_written_and_read_in_little_memory(tmp_path, monkeypatch):
    """24 MB of float32 in parts of 1 MB: a proxy of 1.28 million rows of 1,000 in parts of 64."""
    monkeypatch.setattr(cache_layout, 'PART_BYTES', 1 << 20)
    monkeypatch.setattr(cache_writer, 'BLOCK_BYTES', 2 << 20)
    monkeypatch.setattr(logit_cache, 'MEMORY_BYTES', 4 << 20)
    examples, planned = np.arange(60_000), cache_layout.layout(60_000, 1, Packing('float32', 100))

    def load():
        def logits(view, rows):
            numbers = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
            return np.sin(numbers + np.arange(100, dtype=np.float32))

        return logits

    tracemalloc.start()
    statistics = cache_writer.write(tmp_path, examples, planned, [load])
    written = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    cache = logit_cache.opened(tmp_path, examples, planned, statistics)
    view = cache.view(0)
    read = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(view[31_000:31_004], load()(0, slice(31_000, 31_004)))
    assert isinstance(view, np.memmap) and len(planned.parts(0)) == 23
    assert written < 14e6 and read < 8e6, (written, read)


def test_a_cache_of_an_older_version_has_whole_views(tmp_path, monkeypatch):
    folder = write(tmp_path / 'cache', 'float16')
    facts = store.manifest(folder)
    (folder / 'COMPLETE').unlink()
    new = ('files', 'part_rows', 'bytes', 'largest_error')
    store.seal(folder, {key: value for key, value in facts.items() if key not in new})
    monkeypatch.setattr(cache_layout, 'PART_BYTES', 4 * 12 * 23)
    cache = logit_cache.open_cache(folder, {})
    np.testing.assert_array_equal(cache.view(1), through('float16', np.roll(LOGITS, 1, axis=0)))
