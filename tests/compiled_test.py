"""How programs are compiled, and kept for the next process. (pipeline_test.py counts one process's.)"""

import collections

import jax
import jax.numpy as jnp
import pytest
from jax import monitoring
from jax.experimental.compilation_cache import compilation_cache

from mimic_jax.models.kernels import convolution
from mimic_jax.runtime import compiled


def _convolved(inputs, kernel):
    return convolution.direct(inputs, kernel, 'SAME')


@pytest.fixture
def jax_cache_settings():
    """JAX's settings of its cache, given back at the end."""
    names = ('jax_compilation_cache_dir', 'jax_persistent_cache_min_compile_time_secs')
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update('jax_compilation_cache_dir', None)
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def test_a_program_is_read_back_and_not_compiled_again(tmp_path, monkeypatch, jax_cache_settings):
    monkeypatch.setattr(compiled, '_SECONDS', 0)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    compiled.keep()
    compilation_cache.reset_cache()
    events = collections.Counter()
    monitoring.register_event_listener(lambda event, **facts: events.update([event]))

    def answer():
        return jax.jit(lambda x: jnp.tanh(x @ x.T).sum())(jnp.ones((7, 5)))

    first = answer()
    assert len(list((tmp_path / 'mimic_jax').glob('*/*'))) > 0
    hits = events['/jax/compilation_cache/cache_hits']
    jax.clear_caches()
    assert answer() == first
    assert events['/jax/compilation_cache/cache_hits'] > hits


def test_a_folder_that_jax_was_given_is_left_alone(tmp_path, jax_cache_settings):
    jax.config.update('jax_compilation_cache_dir', str(tmp_path / 'elsewhere'))
    compiled.keep()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / 'elsewhere')


def test_processors_of_another_kind_have_another_folder(monkeypatch):
    here = compiled._processor()
    assert here == compiled._processor()
    other = 'model name\t: another\nflags\t\t: fpu sse'
    monkeypatch.setattr(compiled.Path, 'read_text', lambda path: other)
    assert compiled._processor() != here


def test_convolutions_on_cpu_are_not_ynnpacks_and_products_still_are():
    """By name of the calls in the compiled program; without the option both are YNNPACK's."""

    def ynnpacks(jit, function, *shapes):
        given = [jnp.ones(shape) for shape in shapes]
        return '__ynn_fusion' in jit(function).lower(*given).compile().as_text()

    images = (128, 8, 8, 64), (3, 3, 64, 128)
    matrices = (256, 512), (512, 512)
    assert ynnpacks(jax.jit, _convolved, *images)
    assert not ynnpacks(compiled.jit, _convolved, *images)
    assert ynnpacks(jax.jit, jnp.matmul, *matrices)
    assert ynnpacks(compiled.jit, jnp.matmul, *matrices)


def test_convolutions_give_the_same_bits_each_time():
    """Resuming needs this; threads share the sum over pixels that a kernel's gradient is."""
    images, kernel = jnp.ones((128, 16, 16, 3)) / 3, jnp.ones((5, 5, 3, 32)) / 7
    gradient = compiled.jit(jax.grad(lambda kernel: jnp.sum(jnp.sin(_convolved(images, kernel)))))
    first = gradient(kernel)
    assert all((gradient(kernel) == first).all() for _ in range(30))


def test_options_are_left_out_where_xla_does_not_know_them(monkeypatch):
    monkeypatch.setattr(compiled, 'OPTIONS', {'xla_cpu_no_such_option': '1'})
    assert compiled._options.__wrapped__('cpu') is None


def test_options_are_the_cpu_backends_alone():
    assert compiled._options('cpu') == compiled.OPTIONS
    assert compiled._options('gpu') is None


def test_programs_of_a_few_nets_stay_in_memory(monkeypatch):
    monkeypatch.setattr(compiled, 'NETS', 2)
    monkeypatch.setattr(compiled, '_in_memory', set())
    cleared = []
    monkeypatch.setattr(jax, 'clear_caches', lambda: cleared.append(True))
    counts = []
    for net in ('a', 'b', 'a', 'b', 'c', 'c', 'd', 'a', 'e'):
        compiled.make_room(net)
        counts.append(len(cleared))
    # c is the third net, and a, after c and d, another.
    assert counts == [0, 0, 0, 0, 1, 1, 1, 2, 2]
