import json
import shutil
import zlib

import numpy as np
import pytest

from mimic_jax.artifacts import store
from mimic_jax.errors import UserError
from mimic_jax.mimic import cache_layout, cache_writer, logit_cache
from mimic_jax.mimic.packing import Packing
from mimic_jax.runtime import interrupt

EXAMPLES = np.array([7, 3, 11, 5, 2], np.int32)
CLASSES, VIEWS = 3, 4
FACTS = {
    'teachers': [{'name': 'teacher-1', 'variables_sha256': 'aa'}],
    'view_function': {'version': 1, 'seed': 0, 'shift': 1},
    'views': VIEWS,
    'dtype': 'float16',
    'num_classes': CLASSES,
}


def member(offset: float, calls=None):
    """A teacher whose logits tell view, example and class apart."""

    def load():
        def logits(view, rows=slice(None)):
            if calls is not None:
                calls.append(view)
            grid = np.arange(len(EXAMPLES) * CLASSES, dtype=np.float32)
            return (offset + 100 * view + grid.reshape(len(EXAMPLES), CLASSES))[rows]

        return logits

    return load


def layout(views=VIEWS, dtype='float16', examples=EXAMPLES, classes=CLASSES):
    return cache_layout.layout(len(examples), views, Packing(dtype, classes))


def write(folder, members=None, views=VIEWS, dtype='float16'):
    folder.mkdir(exist_ok=True)
    members = members or [member(0.0), member(1.0)]
    statistics = cache_writer.write(folder, EXAMPLES, layout(views, dtype), members)
    store.seal(folder, {**statistics, 'cache': {**FACTS, 'dtype': dtype}, 'seconds': 0})
    return folder


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    return write(tmp_path_factory.mktemp('cache') / 'logits-1')


@pytest.fixture
def copied(written, tmp_path):
    return shutil.copytree(written, tmp_path / 'logits-1')


def test_views_hold_the_mean_of_the_members(written):
    cache = logit_cache.open_cache(written, FACTS)
    for view in range(VIEWS):
        expected = (member(0.0)()(view) + member(1.0)()(view)) / 2
        assert cache.view(view).dtype == np.float16
        np.testing.assert_array_equal(cache.view(view), expected.astype(np.float16))
    np.testing.assert_array_equal(cache.examples, EXAMPLES)


def test_statistics_are_over_all_examples_and_views(written):
    cache = logit_cache.open_cache(written, FACTS)
    everything = np.concatenate([cache.view(view) for view in range(VIEWS)]).astype(np.float64)
    np.testing.assert_allclose(cache.mean, everything.mean(0), rtol=1e-6)
    np.testing.assert_allclose(cache.deviation, everything.std(0), rtol=1e-6)


def test_every_file_is_under_a_digest(copied):
    """A flipped bit, a cut file and a missing file, for each file there is."""
    names = [path for path in copied.rglob('*') if path.is_file() and path.stat().st_size]
    assert len(names) > 4 * VIEWS
    for path in names:
        content = path.read_bytes()
        bit = zlib.crc32(path.name.encode()) % (8 * len(content))
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        for bad in (bytes(flipped), content[:-1], None):
            path.write_bytes(bad) if bad is not None else path.unlink()
            with pytest.raises(UserError) as error:
                store.verify(copied)
            assert path.name in str(error.value), path
            assert '\n' not in str(error.value)
            path.write_bytes(content)
    store.verify(copied)


def test_a_damaged_cache_is_not_opened(copied):
    path = max((copied / 'views' / '2').rglob('*'), key=lambda p: p.is_file() and p.stat().st_size)
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(UserError, match='views/2'):
        logit_cache.open_cache(copied, FACTS)


@pytest.mark.parametrize(
    ('field', 'value', 'named'),
    [
        ('teachers', [{'name': 'teacher-2', 'variables_sha256': 'aa'}], r'teachers\[0\]\.name'),
        (
            'teachers',
            [{'name': 'teacher-1', 'variables_sha256': 'bb'}],
            r'teachers\[0\]\.variables_sha256',
        ),
        ('view_function', {'version': 1, 'seed': 5, 'shift': 1}, r'view_function\.seed'),
        ('view_function', {'version': 1, 'seed': 0, 'shift': 2}, r'view_function\.shift'),
        ('view_function', {'version': 2, 'seed': 0, 'shift': 1}, r'view_function\.version'),
        ('num_classes', 10, 'num_classes'),
        ('dtype', 'float32', 'dtype'),
        ('views', 5, 'views'),
    ],
)
def test_a_cache_of_something_else_is_refused_by_field(written, field, value, named):
    with pytest.raises(UserError, match=f'its {named} is'):
        logit_cache.open_cache(written, {**FACTS, field: value})


def dies_at_view_2(loads):
    """A member whose answers end at the third view; `loads` has an entry each time it is loaded."""

    def load():
        loads.append(1)
        logits = member(0.0)()

        def failing(view, rows):
            if view == 2:
                raise interrupt.Interrupted
            return logits(view, rows)

        return failing

    return load


def test_interrupted_writing_resumes_at_the_first_missing_view(tmp_path, written, monkeypatch):
    monkeypatch.setattr(cache_writer, 'BLOCK_PARTS', 1)
    folder = tmp_path / 'logits-2'
    folder.mkdir()
    calls = []

    with pytest.raises(interrupt.Interrupted):
        cache_writer.write(folder, EXAMPLES, layout(), [dies_at_view_2([]), member(1.0)])
    assert [part.view for part in layout().written(folder)] == [0, 1]
    write(folder, [member(0.0, calls), member(1.0)])
    assert calls == [2, 3]
    whole, resumed = (logit_cache.open_cache(path, FACTS) for path in (written, folder))
    for view in range(VIEWS):
        np.testing.assert_array_equal(whole.view(view), resumed.view(view))
    np.testing.assert_array_equal(whole.mean, resumed.mean)


def test_members_are_held_one_at_a_time(tmp_path):
    """Each member is let go before the next is loaded."""
    import gc
    import weakref

    alive = weakref.WeakSet()
    most = []

    class Net:
        def __call__(self, view, rows):
            gc.collect()
            most.append(len(alive))
            return np.zeros((len(EXAMPLES), CLASSES), np.float32)

    def load():
        net = Net()
        alive.add(net)
        return net

    folder = tmp_path / 'logits-3'
    folder.mkdir()
    cache_writer.write(folder, EXAMPLES, layout(), [load] * 5)
    assert max(most) <= 2  # the one in use, and the one before it until it is overwritten


def test_logits_beyond_float16_are_refused_and_fit_float32(tmp_path):
    big = [lambda: lambda view, rows: np.full((len(EXAMPLES), CLASSES), 70000.0, np.float32)]
    with pytest.raises(UserError, match='float32'):
        write(tmp_path / 'narrow', big)
    cache = logit_cache.open_cache(write(tmp_path / 'wide', big, dtype='float32'), {})
    assert cache.view(0).max() == 70000.0


def test_logits_that_are_not_finite_are_refused(tmp_path):
    bad = [lambda: lambda view, rows: np.full((len(EXAMPLES), CLASSES), np.nan, np.float32)]
    with pytest.raises(UserError, match='not finite'):
        write(tmp_path / 'bad', bad)


def test_rows_are_compared_exactly_here_and_within_tolerance_elsewhere(written):
    cache = logit_cache.open_cache(written, FACTS)

    def teacher(error):
        def recomputed(view):
            rows = np.array([0, 2])
            return rows, (member(0.5)()(view) + error)[rows]

        return recomputed

    cache.check_rows(teacher(0.0), exact=True)
    cache.check_rows(teacher(0.3), exact=False)
    with pytest.raises(UserError, match='view 0'):
        cache.check_rows(teacher(0.3), exact=True)
    with pytest.raises(UserError, match='view 0'):
        cache.check_rows(teacher(50.0), exact=False)


def test_float16_takes_20_bytes_a_sample_and_view_at_10_classes(tmp_path):
    """What Orbax writes around the numbers is counted against the numbers themselves."""
    folder = tmp_path / 'big'
    folder.mkdir()
    examples = np.arange(20000, dtype=np.int32)
    noise = np.random.default_rng(0).normal(size=(20000, 10)).astype(np.float32)
    planned = layout(2, 'float16', examples, 10)
    cache_writer.write(folder, examples, planned, [lambda: lambda view, rows: noise[rows] + view])
    written = sum(p.stat().st_size for p in (folder / 'views').rglob('*') if p.is_file())
    assert written / (2 * 20000) <= 20.5


def test_manifest_is_bound_to_its_marker(copied):
    path = copied / store.MANIFEST
    facts = json.loads(path.read_text())
    facts['cache']['num_classes'] = 99
    path.write_text(json.dumps(facts))
    with pytest.raises(UserError, match=store.MANIFEST):
        store.verify(copied)


def test_a_single_teacher_stays_loaded_and_a_stop_costs_one_view(tmp_path):
    loads = []

    with pytest.raises(interrupt.Interrupted):
        cache_writer.write(tmp_path, EXAMPLES, layout(), [dies_at_view_2(loads)])
    assert [part.view for part in layout().written(tmp_path)] == [0, 1]
    assert len(loads) == 1


def test_damage_between_two_sittings_is_found_or_harmless(tmp_path, written, monkeypatch):
    monkeypatch.setattr(cache_writer, 'BLOCK_PARTS', 1)
    half, members = tmp_path / 'half', [member(0.0), member(1.0)]
    half.mkdir()
    cache_writer.write(half, EXAMPLES, layout(2), members)
    files = [path for path in sorted((half / 'views' / '1').rglob('*')) if path.is_file()]
    found = 0
    for number, path in enumerate(files):
        content = path.read_bytes()
        flipped = bytearray(content or b'x')
        flipped[number * 37 % len(flipped)] ^= 1 << number % 8
        for bad in (bytes(flipped), content[: len(content) // 2]):
            copy = shutil.copytree(half, tmp_path / 'copy', dirs_exist_ok=True)
            (copy / path.relative_to(half)).write_bytes(bad)
            try:
                write(copy, members)
            except UserError as error:
                assert f'{copy / "views" / "1"} ' in str(error) and 'delete' in str(error)
                found += 1
            else:
                for view in range(VIEWS):
                    whole, resumed = (logit_cache.open_cache(at, FACTS) for at in (written, copy))
                    np.testing.assert_array_equal(whole.view(view), resumed.view(view))
            shutil.rmtree(copy)
    assert found > len(files) / 2


def test_views_that_changed_places_between_two_sittings_are_refused(tmp_path):
    half = tmp_path / 'half'
    half.mkdir()
    cache_writer.write(half, EXAMPLES, layout(2), [member(0.0)])
    views = half / 'views'
    for old, new in (('0', 'x'), ('1', '0'), ('x', '1')):
        (views / old).rename(views / new)
    with pytest.raises(UserError, match='views/0 is not what was written there; delete it'):
        write(half, [member(0.0)])
