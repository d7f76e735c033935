"""One module asks which backend programs are for, and every net can be exported for all of them."""

import functools
import re
import types

import artifact_names
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT

from mimic_jax.config import experiment as experiments
from mimic_jax.errors import UserError
from mimic_jax.export import plan as exporting
from mimic_jax.models import nets, notation
from mimic_jax.models.kernels import pooling
from mimic_jax.runtime import backend


def test_no_other_module_asks_for_the_backend():
    asking = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / 'mimic_jax').rglob('*.py')
        if 'default_backend' in path.read_text()
    ]
    assert asking == ['mimic_jax/runtime/backend.py']


def test_programs_for_another_backend_have_its_forms():
    """XLA's windowed maximum on accelerators, shifted maxima on a CPU."""
    images = jax.ShapeDtypeStruct((2, 6, 6, 3), jnp.float32)

    def traced():
        return str(jax.make_jaxpr(lambda x: pooling.max_pool(x, (2, 2), (2, 2), 'VALID'))(images))

    here = traced()
    with backend.compiling_for('tpu'):
        assert backend.name() == 'tpu'
        assert 'reduce_window' in traced()
    assert backend.is_cpu() and traced() == here and 'reduce_window' not in here


def test_a_program_for_several_platforms_has_the_form_of_each():
    """Each of three forms adds another number; the weights are in the program once."""
    numbers, weights = {'cpu': 11.0, 'gpu': 22.0, 'tpu': 33.0}, np.arange(50000, dtype=np.float32)

    def form(x, weights):
        return x + weights * numbers[backend.name()]

    function = backend.for_each(form)
    example = jax.ShapeDtypeStruct((), jnp.float32)
    made = jax.export.export(jax.jit(lambda x: function(x, weights)), platforms=exporting.PLATFORMS)
    exported = made(example)
    np.testing.assert_array_equal(exported.call(jnp.float32(1)), 1 + 11 * weights)
    assert weights.nbytes < len(exported.serialize()) < 1.2 * weights.nbytes
    for platform, number in (('cuda', 22), ('tpu', 33)):
        alone = jax.export.export(jax.jit(function), platforms=[platform])(example, example)
        factors = re.findall(r'constant dense<(\S+)>', alone.mlir_module())
        assert set(map(float, factors)) & set(numbers.values()) == {number}


@pytest.mark.parametrize(
    ('platforms', 'started'), [('tpu', 'tpu,cpu'), ('cuda,cpu', 'cuda,cpu'), (None, None)]
)
def test_a_cpu_comes_up_beside_the_accelerators_that_were_asked_for(
    platforms, started, monkeypatch
):
    """Afterwards the setting is what it was before."""
    config, asked = types.SimpleNamespace(jax_platforms=platforms), []
    config.update = lambda name, value: setattr(config, name, value)
    monkeypatch.setattr(jax, 'config', config)
    monkeypatch.setattr(jax, 'devices', lambda: asked.append(config.jax_platforms))
    backend.devices()
    assert asked == [started] and config.jax_platforms == platforms


def test_a_search_without_a_cpu_says_what_to_set(monkeypatch):
    assert backend.host().platform == 'cpu'

    def unknown(backend):
        raise RuntimeError(f'Unknown backend {backend}')

    monkeypatch.setattr(jax, 'local_devices', unknown)
    with (
        backend.compiling_for('tpu'),
        pytest.raises(UserError, match=r'JAX_PLATFORMS=tpu,cpu$'),
    ):
        backend.host()


def specs():
    """Every student's net of every experiment and preset, one of each form."""
    found = {}
    for name, preset in artifact_names.cases():
        checked = experiments.read(artifact_names.module(name).get_config(preset))
        shape, classes, *_ = artifact_names.SOURCES[checked.data.name]
        for each in (*checked.students.values(), *checked.members.values()):
            if not each.model or (checked.data.preprocess == 'feature' and name == 'own_data'):
                continue
            model = each.model
            if '?' in model:
                model = notation.solve(model, each.budget, shape, classes)
            # One of several nets whose widths are of similar sizes.
            form = re.sub(r'\d+k?', lambda n: str(len(n[0])), model)
            arguments = tuple(each.model_args.items())
            found.setdefault((form, shape), (model, shape, classes, arguments))
    return sorted(found.values())


@pytest.mark.parametrize('case', specs(), ids=lambda case: f'{case[0]}-{len(case[1])}')
def test_every_net_can_be_exported_for_every_platform(case):
    model, shape, classes, arguments = case
    module = nets.make(model, dict(arguments), classes, shape)
    example = jax.ShapeDtypeStruct((*jax.export.symbolic_shape('b'), *shape), jnp.float32)
    init = functools.partial(module.init, input_shape=shape)
    variables = jax.eval_shape(init, jax.random.key(0))
    exported = jax.export.export(jax.jit(module.apply), platforms=exporting.PLATFORMS)(
        variables, example
    )
    assert exported.platforms == exporting.PLATFORMS
    assert exported.out_avals[0].shape[1] == classes
