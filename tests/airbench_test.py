"""The nets of airbench: their size, their fitted whitening, and a teacher trained with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT, load_experiment, refusal

import mimic_jax
from mimic_jax.config import airbench, presets
from mimic_jax.models import nets
from mimic_jax.training import checkpoint

SHAPE = (32, 32, 3)


def made(name='examples.airbench:Airbench', classes=10, **args):
    return nets.make(f'flax:{name}', args, classes, SHAPE, where='config.members.a')


@pytest.mark.parametrize(
    ('recipe', 'count'), [('94', 1_971_352), ('95', 4_604_440), ('96', 9_915_416)]
)
def test_sizes_are_the_published_ones(recipe, count):
    """Jordan's counts, 1.97, 4.61 and 9.92 million, include the whitening's 288 frozen numbers."""
    net = made(**airbench.NETS[recipe])
    assert net.describe(SHAPE).parameters == count


def test_whitened_patches_are_uncorrelated():
    draw = np.random.default_rng(0)
    images = draw.normal(size=(60, 1, 1, 3)) + 0.3 * draw.normal(size=(60, *SHAPE))
    images = images.astype(np.float32)
    net = made(widths=(4, 4, 4))
    variables = net.fit(
        jax.jit(net.init, static_argnums=1)(jax.random.key(0), SHAPE), jnp.asarray(images)
    )
    kernel = np.asarray(variables['fitted']['whitening']['kernel'], np.float64)
    assert kernel.shape == (2, 2, 3, 24)
    windows = np.lib.stride_tricks.sliding_window_view(images.astype(np.float64), (2, 2), (1, 2))
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, 12)
    answers = patches @ kernel.reshape(12, 24)
    second = answers.T @ answers / len(answers)
    np.testing.assert_allclose(answers[:, 12:], -answers[:, :12])
    variances = np.linalg.eigvalsh(patches.T @ patches / len(patches))
    wanted = np.diag(variances / (variances + 5e-4))
    np.testing.assert_allclose(second[:12, :12], wanted, atol=2e-3)


def test_a_fit_that_changes_shapes_is_refused(tmp_path, monkeypatch):
    (tmp_path / 'bad_fit.py').write_text(
        'import flax.linen as nn\n'
        'class Bad(nn.Module):\n'
        '    @nn.compact\n'
        '    def __call__(self, x):\n'
        '        return nn.Dense(10)(x.reshape(len(x), -1))\n'
        '    def fit(self, variables, inputs):\n'
        "        return {**variables, 'more': inputs}\n"
    )
    monkeypatch.chdir(tmp_path)
    net = made('bad_fit:Bad')
    variables = net.init(jax.random.key(0), SHAPE)
    said = refusal(net.fit, variables, jnp.zeros((2, *SHAPE)))
    assert 'bad_fit:Bad' in said and 'names, shapes and types' in said


def test_a_teacher_keeps_what_was_fitted(tmp_path, monkeypatch):
    """The teacher is tiny; an image's colour is its class."""
    monkeypatch.chdir(ROOT)
    draw = np.random.default_rng(1)
    labels = np.arange(120) % 3
    tint = np.eye(3)[labels][:, None, None] * 90
    images = np.clip(tint + draw.uniform(0, 160, (120, *SHAPE)), 0, 255).astype(np.uint8)
    train = {'epochs': 4, 'batch_size': 16, 'learning_rate': 0.3, 'label_smoothing': 0.2}
    config = presets.build(
        {
            'data': {'preprocess': 'channel', 'train': 80, 'validation': 20, 'test': 20},
            'views': {'mirror': True, 'alternate': True, 'shift': 2, 'padding': 'reflect'},
            'members': {
                'fast': {
                    'model': 'flax:examples.airbench:Airbench',
                    'model_args': {'widths': (4, 8, 8)},
                    'train': {**train, 'average': 'lookahead'},
                }
            },
        }
    )
    result = mimic_jax.run(config, workdir=tmp_path, phase='teacher', data=(images, labels))
    assert result.curve('teacher fast')['validation_accuracy'][-1, 1] == 1.0
    (folder,) = tmp_path.glob('teacher-*')
    data, net = result._session.data, made(classes=3, widths=(4, 8, 8))
    variables = jax.eval_shape(lambda key: net.init(key, SHAPE), jax.random.key(0))
    kept = checkpoint.load_variables(folder, variables)
    trained = data.inputs[data.splits['train']].astype(np.float64)
    axes = (0, 1, 2)
    inputs = (trained - trained.mean(axes)) / trained.std(axes)
    wanted = net.fit(variables, jnp.asarray(inputs))
    found, wanted = (tree['fitted']['whitening']['kernel'] for tree in (kept, wanted))
    # Eigenvectors have either sign.
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), rtol=2e-2, atol=2e-3)
    assert np.abs(kept['params']['whitening']['bias']).max() > 0


def test_ensembles_of_a_curve_differ_in_their_members_alone():
    config = load_experiment('fast_teachers').get_config('curve')
    whole = load_experiment('fast_teachers').get_config()
    assert all(config.members[name] == whole.members[name] for name in whole.members)
    for name, row in config.report.rows.items():
        cache = config.logits[row.source.removeprefix('logits.')]
        assert cache.members == tuple(f'{row.curve}_{seed}' for seed in range(1, int(row.x) + 1))
        assert (cache.tta, cache.limit) == ('mirror_shift', 1000), name
    fast, short, narrow = (config.members[f'{kind}_5'] for kind in ('fast', 'short', 'narrow'))
    assert short.train.epochs * 2 == fast.train.epochs == narrow.train.epochs
    assert short.model_args == fast.model_args != narrow.model_args
    assert [each.seed for each in (fast, short, narrow)] == [5, 5, 5]
