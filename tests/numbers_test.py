"""Numbers that are or will soon be infinite or NaN: stopped or reported, never clipped."""

import io
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from mimic_jax.artifacts import store
from mimic_jax.data import prepare
from mimic_jax.data.settings import Data
from mimic_jax.errors import NotFinite, UserError
from mimic_jax.mimic import (
    cache_layout,
    cache_writer,
    ensemble,
    evaluate,
    logit_cache,
    students,
    teachers,
)
from mimic_jax.mimic.packing import Packing
from mimic_jax.runtime.progress import Progress
from mimic_jax.training import calls, train_step


def test_a_gradient_that_is_not_finite_counts_though_the_loss_is(config, make_session, monkeypatch):
    """The loss √0 has the gradient ∞ · 0."""
    losses = lambda loss, logits, *rest: jnp.sqrt(0 * logits).sum(1)  # noqa: E731
    monkeypatch.setattr(train_step, 'example_losses', losses)
    session, plan = make_session(config)
    net = plan.members['cnn_1']
    state = train_step.create_train_state(
        net.task, session.data.input_shape, 0, 0, session.constants
    )
    index = np.arange(4, dtype=np.int32)
    batch = {
        'inputs': session.data.inputs[index],
        'labels': session.data.labels[session.data.splits['train'][index]],
        'index': index,
        'mask': np.ones(4, np.float32),
        'view': np.int32(0),
    }
    _, sums = train_step.train_step(state, batch)
    assert sums['nonfinite_steps'] == 1 and np.isfinite(sums['loss_sum'])


def test_a_net_that_explodes_on_validation_is_stopped(config, make_session, monkeypatch):
    original = calls.evaluate

    def exploded(mesh):
        call = original(mesh)
        return lambda *arguments: {**call(*arguments), 'loss_sum': jnp.float32(np.inf)}

    monkeypatch.setattr(calls, 'evaluate', exploded)
    session, plan = make_session(config)
    net = plan.members['cnn_1']
    with pytest.raises(NotFinite, match='cnn_1: validation loss not finite after step 4'):
        teachers.make(session, net)
    folder = session.workdir / net.recipe.name
    assert not store.is_complete(folder)
    assert 'Infinity' not in (folder / 'metrics.jsonl').read_text()
    assert not list((folder / 'checkpoints').iterdir()), 'no checkpoint of it is kept'


def test_a_cache_in_float16_ends_at_its_largest_number(tmp_path):
    def write(name, number):
        (tmp_path / name).mkdir()
        said = np.full((4, 3), number, np.float32)
        layout = cache_layout.layout(4, 1, Packing('float16', 3))
        members = [lambda: lambda view, rows: said[rows]]
        cache_writer.write(tmp_path / name, np.arange(4), layout, members)

    for sign in (1, -1):
        write(f'fits{sign}', sign * 65504.0)
        with pytest.raises(UserError, match=r"65504.5 on .* set the cache's dtype to float32"):
            write(f'beyond{sign}', sign * 65504.5)  # numpy's rounding would have made it 65504


@pytest.mark.parametrize('kind', ['logits', 'standardised_logits'])
def test_logits_that_have_exploded_stop_their_student(config, make_session, monkeypatch, kind):
    """They are finite in the cache; their squares are infinite."""
    config.students.mimic.loss.kind = kind
    session, plan = make_session(config)
    net = plan.students['mimic'][0]
    monkeypatch.setattr(store, 'require', lambda *_: None)
    monkeypatch.setattr(ensemble, 'open_checked', lambda *_: stand_in(net, 1e30))
    with pytest.raises(NotFinite, match=r'mimic, seed 0: loss or gradient not finite at step 1,'):
        students.make(session, net)


@pytest.mark.parametrize('kind', ['logits', 'standardised_logits', 'probabilities', 'kl', 'hinton'])
def test_a_class_of_which_the_teacher_says_nothing_is_learned(
    config, make_session, monkeypatch, kind
):
    """All of its logits are 0, and so is their deviation."""
    config.students.mimic.loss.kind = kind
    session, plan = make_session(config)
    net = plan.students['mimic'][0]
    monkeypatch.setattr(store, 'require', lambda *_: None)
    monkeypatch.setattr(ensemble, 'open_checked', lambda *_: stand_in(net, 3.0))
    facts = store.manifest(students.make(session, net))
    assert facts['steps'] == net.task.steps


def stand_in(net, scale):
    """A cache of random logits of that size, class 0 without any."""
    logits = np.random.default_rng(0).normal(size=(len(net.examples), 10)).astype(np.float32)
    logits[:, 0] = 0
    layout = cache_layout.layout(len(logits), 2, Packing('float32', 10))
    facts = {'mean': logits.mean(0), 'deviation': logits.std(0)}
    cache = logit_cache.opened(Path(), net.examples, layout, facts)
    cache._kept.update({view: logits * np.float32(scale) for view in range(2)})
    return cache


def test_answers_that_are_not_finite_are_never_evaluated(config, make_session, monkeypatch):
    session, plan = make_session(config)
    net = plan.members['cnn_1']
    folder = session.workdir / net.recipe.name
    folder.mkdir()
    store.seal(folder, {})
    bad = np.zeros((100, 10), np.float32)
    bad[7, 3] = np.nan
    monkeypatch.setattr(ensemble, 'load', lambda *_: lambda ids: bad)
    with pytest.raises(UserError, match='cnn_1 gives logits that are not finite on the split val'):
        evaluate.run(session, net, 'teacher')
    assert not store.is_complete(session.workdir / net.evaluation.name)
    assert not list((session.workdir / net.evaluation.name).glob('*.npy'))


@pytest.mark.parametrize(
    ('labels', 'words'),
    [
        ([0, 1, 2], ''),
        ([0, 2], 'no example of 1 of the 3 classes (1);'),
        ([0, 9], '8 of the 10'),
        ([1, 2], '1 of the 3 classes (0); nets on labels cannot learn them; labels count from 0'),
    ],
)
def test_classes_that_no_training_example_has_are_told_of(tmp_path, labels, words):
    count = 30
    np.savez(
        tmp_path / 'own.npz',
        features=np.random.default_rng(0).normal(size=(count, 3)),
        labels=np.resize(labels, count),
    )
    data = Data(name='npz', root=str(tmp_path / 'own.npz'), validation=4, test=4)
    said = io.StringIO()
    prepare.run(data, tmp_path, Progress(stream=said))
    assert words in said.getvalue()
    assert ('no example' in said.getvalue()) == bool(words)
