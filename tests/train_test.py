import json
import os
import signal

import jax
import numpy as np
import pytest

from mimic_jax.artifacts import store
from mimic_jax.data.placement import Placement
from mimic_jax.errors import UserError
from mimic_jax.mimic import logits, students, teachers
from mimic_jax.runtime import interrupt
from mimic_jax.training import calls, metrics_log, window


def digest(session, plan):
    return store.manifest(session.workdir / plan.recipe.name)['variables_sha256']


def interrupt_at(monkeypatch, step: int, kill=None):
    """Makes the loop see a signal, or die, once `step` steps have been made."""
    calls = []
    original = window.Window.add

    def add(self, count, sums):
        calls.append(count)
        if sum(calls) == step:
            if kill:
                raise kill
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, count, sums)

    monkeypatch.setattr(window.Window, 'add', add)


@pytest.fixture
def signals():
    old = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    interrupt.install()
    yield
    interrupt._Request.pending = False
    for number, handler in old.items():
        signal.signal(number, handler)


@pytest.mark.parametrize('how', [{}, {'placement': 'host'}, {'steps_per_call': 2}], ids=str)
def test_sigterm_inside_an_epoch_resumes_to_the_same_bits(
    config, make_session, tmp_path, monkeypatch, signals, how
):
    config.run.update(how)
    session, plan = make_session(config)
    net = plan.members['cnn_1']
    teachers.make(session, net)
    uninterrupted = digest(session, net)

    other, plan = make_session(config, tmp_path / 'other')
    net = plan.members['cnn_1']
    with monkeypatch.context() as patch:
        interrupt_at(patch, step=6)  # of 2 epochs × 4 steps
        with pytest.raises(interrupt.Interrupted):
            teachers.make(other, net)
    interrupt._Request.pending = False
    folder = other.workdir / net.recipe.name
    assert not store.is_complete(folder)
    assert sorted(int(path.name) for path in (folder / 'checkpoints').iterdir())[-1] == 6
    teachers.make(other, net)
    assert digest(other, net) == uninterrupted
    steps = [record['step'] for record in metrics_log.read(folder)]
    assert steps == sorted(steps)


def test_death_between_checkpoints_resumes_to_the_same_bits(
    config, make_session, tmp_path, monkeypatch
):
    session, plan = make_session(config)
    for member in plan.members.values():
        teachers.make(session, member)
    logits.run(session, plan.caches['ensemble'])
    net = plan.students['mimic'][0]
    students.make(session, net)
    uninterrupted = digest(session, net)

    import shutil

    shutil.rmtree(session.workdir / net.recipe.name)
    with monkeypatch.context() as patch:
        interrupt_at(patch, step=25, kill=RuntimeError('killed'))  # of 3 epochs × 10 steps
        with pytest.raises(RuntimeError):
            students.make(session, net)
    store._verified_manifest.cache_clear()
    students.make(session, net)
    assert digest(session, net) == uninterrupted


@pytest.mark.parametrize(
    'how',
    [
        {'optimizer': 'adamw', 'average': 'ema', 'schedule': 'linear', 'label_smoothing': 0.1},
        {'optimizer': 'muon', 'average': 'lookahead', 'schedule': 'trapezoid'},
        {'nesterov': False, 'average': 'ema', 'schedule': 'step'},
        {'optimizer': 'muon', 'companion': 'sgd', 'schedule': 'plateau'},
    ],
    ids=str,
)
def test_every_optimizer_and_average_resumes_to_the_same_bits(
    config, make_session, tmp_path, monkeypatch, signals, how
):
    config.members.cnn_1.train.update({'learning_rate': 0.01, **how})
    session, plan = make_session(config)
    net = plan.members['cnn_1']
    teachers.make(session, net)
    uninterrupted = digest(session, net)

    other, plan = make_session(config, tmp_path / 'other')
    net = plan.members['cnn_1']
    with monkeypatch.context() as patch:
        interrupt_at(patch, step=3)
        with pytest.raises(interrupt.Interrupted):
            teachers.make(other, net)
    interrupt._Request.pending = False
    with monkeypatch.context() as patch:
        interrupt_at(
            patch, step=4, kill=RuntimeError('killed')
        )  # after the first epoch's checkpoint
        with pytest.raises(RuntimeError):
            teachers.make(other, net)
    store._verified_manifest.cache_clear()
    teachers.make(other, net)
    assert digest(other, net) == uninterrupted


def test_an_average_that_keeps_nothing_of_the_past_is_the_weights(config, make_session, tmp_path):
    """And what is kept, labels caches and is exported is the average: it is what `variables` holds."""
    digests = []
    for number, how in enumerate(
        [{}, {'average': 'ema', 'ema_decay': 0.0}, {'average': 'ema', 'ema_decay': 0.5}]
    ):
        config.members.cnn_1.train.update(how)
        session, plan = make_session(config, tmp_path / str(number))
        teachers.make(session, plan.members['cnn_1'])
        digests.append(digest(session, plan.members['cnn_1']))
        kept = variables(session, plan.members['cnn_1'])
        assert all(np.isfinite(leaf).all() for leaf in kept)
    assert digests[0] == digests[1] != digests[2]


def test_norms_are_logged_as_means_over_a_windows_steps(config, make_session):
    config.students.labels.train.update({'momentum': 0.0, 'warmup': 0.0, 'schedule': 'constant'})
    config.run.norms = True
    session, plan = make_session(config)
    net = plan.students['labels'][0]
    students.make(session, net)
    records = metrics_log.read(session.workdir / net.recipe.name)
    logged = [record for record in records if 'loss' in record]
    assert len(logged) >= 6
    rate = net.task.train.learning_rate
    for record in logged:  # without momentum an update is the gradient times the rate
        np.testing.assert_allclose(record['update_norm'], rate * record['gradient_norm'], rtol=1e-4)
    params = sum(float(np.square(leaf).sum()) for leaf in variables(session, net)) ** 0.5
    np.testing.assert_allclose(logged[-1]['parameter_norm'], params, rtol=0.05)


def test_several_steps_a_call_agree_with_one_a_call(config, make_session, tmp_path):
    session, plan = make_session(config)
    net = plan.students['labels'][0]
    students.make(session, net)
    config.run.steps_per_call = 3
    other, _ = make_session(config, tmp_path / 'other')
    students.make(other, net)
    for one, several in zip(*(variables(s, net) for s in (session, other)), strict=True):
        np.testing.assert_allclose(one, several, rtol=1e-4, atol=1e-5)


def test_several_devices_train_the_net_that_one_trains(config, make_session, tmp_path):
    nets = []
    for devices in (1, 8):
        session, plan = make_session(config, tmp_path / str(devices), jax.devices()[:devices])
        net = plan.students['labels'][0]
        students.make(session, net)
        nets.append(variables(session, net))
    for one, several in zip(*nets, strict=True):
        np.testing.assert_allclose(one, several, rtol=1e-3, atol=1e-5)


def test_a_loss_that_is_not_finite_stops_with_step_rate_and_checkpoint(config, make_session):
    config.students.mimic.train.learning_rate = 1e30
    config.students.mimic.train.clip_norm = 0.0
    session, plan = make_session(config)
    for member in plan.members.values():
        teachers.make(session, member)
    logits.run(session, plan.caches['ensemble'])
    net = plan.students['mimic'][0]
    with pytest.raises(UserError, match=r'not finite at step \d+, learning rate .*checkpoint'):
        students.make(session, net)
    folder = session.workdir / net.recipe.name
    assert not store.is_complete(folder)
    assert 'NaN' not in (folder / 'metrics.jsonl').read_text()


def test_seeds_share_one_compiled_step(config, make_session):
    session, plan = make_session(config)
    first, second = plan.students['labels']
    students.make(session, first)
    call = calls.train(session.mesh, False)
    compiled = call._cache_size()
    students.make(session, second)
    assert call._cache_size() == compiled
    assert digest(session, first) != digest(session, second)


def test_no_transfer_between_host_and_device_but_an_epochs_ids(config, make_session, monkeypatch):
    """Nothing in a step reads from the device; its ids are there, sent once an epoch."""
    session, plan = make_session(config)
    net = plan.members['cnn_1']
    original = calls.train
    sent = []

    def guarded(*how):
        call = original(*how)

        def step(*arguments):
            sent.append(arguments[1].ids['index'])
            with jax.transfer_guard('disallow'):
                return call(*arguments)

        return step

    teachers.make(session, net)  # compiled outside the guard: constants travel once
    import shutil

    shutil.rmtree(session.workdir / net.recipe.name)
    monkeypatch.setattr(calls, 'train', guarded)
    teachers.make(session, net)
    assert len(sent) == net.task.steps == 8
    assert len({id(index) for index in sent}) == net.task.train.epochs == 2


def test_subset_sees_that_share_of_the_training_split(config, make_session):
    config.members.cnn_1.subset = 0.5
    session, plan = make_session(config)
    examples = plan.members['cnn_1'].examples
    assert len(examples) == 100
    assert len(set(examples)) == 100
    assert set(examples) <= set(session.data.splits['train'])
    assert len(plan.members['cnn_2'].examples) == 200


def test_student_epochs_read_the_caches_views_in_turn(config, make_session, monkeypatch):
    config.students.mimic.train.epochs = 5
    session, plan = make_session(config)
    for member in plan.members.values():
        teachers.make(session, member)
    logits.run(session, plan.caches['ensemble'])
    seen, asked = [], []
    original = Placement.epoch

    def epoch(self, ids, view, extra, skip):
        seen.append(view)
        asked.append(extra['teacher_logits'])
        return original(self, ids, view, extra, skip)

    monkeypatch.setattr(Placement, 'epoch', epoch)
    net = plan.students['mimic'][0]
    students.make(session, net)
    assert seen == [0, 1, 0, 1, 0]
    assert np.array_equal(asked[0], asked[2])
    assert not np.array_equal(asked[0], asked[1])


def variables(session, net):
    from mimic_jax.training import checkpoint

    example = jax.ShapeDtypeStruct((1, *session.data.input_shape), np.float32)
    shapes = jax.eval_shape(net.task.net.module.init, jax.random.key(0), example)
    return jax.tree.leaves(checkpoint.load_variables(session.workdir / net.recipe.name, shapes))


def test_metrics_hold_rate_and_loss_of_a_hand_made_schedule(config, make_session):
    config.students.labels.train.warmup = 0.0
    config.students.labels.train.schedule = 'constant'
    config.students.labels.train.learning_rate = 0.03
    session, plan = make_session(config)
    net = plan.students['labels'][0]
    students.make(session, net)
    path = session.workdir / net.recipe.name / 'metrics.jsonl'
    records = [json.loads(line) for line in path.read_text().splitlines()]
    rates = [record['learning_rate'] for record in records if 'learning_rate' in record]
    np.testing.assert_allclose(rates, 0.03, rtol=1e-6)
    assert records[-1]['step'] == 12  # 3 epochs of 200 examples in batches of 50


def test_a_shorter_run_at_a_constant_rate_is_the_beginning_of_a_longer_one(config, make_session):
    """What Figure 2 of Ba & Caruana is drawn by: a net an epoch count."""
    config.students.labels.train.warmup = 0.0
    config.students.labels.train.schedule = 'constant'
    records = []
    for epochs in (1, 3):
        config.students.labels.train.epochs = epochs
        session, plan = make_session(config)
        net = plan.students['labels'][0]
        students.make(session, net)
        path = session.workdir / net.recipe.name / 'metrics.jsonl'
        records.append([json.loads(line) for line in path.read_text().splitlines()])
    short, long = records
    assert len(short) >= 3 and any('validation_loss' in record for record in short)
    assert [values(record) for record in short] == [values(record) for record in long[: len(short)]]


def values(record):
    return {key: record.get(key) for key in ('step', 'loss', 'accuracy', 'validation_loss')}
