"""Runs for TensorBoard, read back event by event."""

import os
import struct

import pytest
from tensorboardX.proto import event_pb2
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from mimic_jax.training import boards
from mimic_jax.training.metrics_log import MetricsLog

RECORDS = [
    {'step': 10, 'seconds': 2.0, 'loss': 0.5, 'accuracy': 0.25},
    {'step': 20, 'seconds': 3.0, 'loss': 0.125},
]
SCALARS = [(10, 'loss', 0.5), (10, 'accuracy', 0.25), (20, 'loss', 0.125)]


def events(folder):
    """TensorBoard's events as written: records of length, checksum, Event, checksum."""
    (path,) = folder.glob('events.*')
    found, data = [], path.read_bytes()
    while data:
        (length,) = struct.unpack('<Q', data[:8])
        found.append(event_pb2.Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    return found


def values(folder):
    return [(event, value) for event in events(folder) for value in event.summary.value]


def scalars(folder):
    return [
        (event.step, value.tag, value.simple_value)
        for event, value in values(folder)
        if not value.tag.startswith('_')
    ]


def hyperparameters(folder):
    (value,) = (value for _, value in values(folder) if value.tag.startswith('_hparams_'))
    assert value.tag == '_hparams_/session_start_info'
    assert value.metadata.plugin_data.plugin_name == 'hparams'
    content = HParamsPluginData.FromString(value.metadata.plugin_data.content)
    found = content.session_start_info.hparams
    return {name: getattr(each, each.WhichOneof('kind')) for name, each in found.items()}


@pytest.fixture
def nets(config, make_session):
    _, plan = make_session(config)
    return {net.name: net for net in plan.nets()}


def test_runs_have_the_names_of_the_experiment(nets, tmp_path):
    places = [boards.place(tmp_path, net).relative_to(tmp_path).as_posix() for net in nets.values()]
    students = [f'{name}/seed {seed}' for name in ('labels', 'mimic') for seed in (0, 1)]
    assert sorted(places) == sorted(['cnn_1', 'cnn_2', *students])


def test_a_run_holds_the_records_and_what_the_net_was_trained_with(nets, tmp_path):
    net = nets['student mimic, seed 1']
    with MetricsLog(tmp_path, 0, net, tmp_path / 'boards') as log:
        log.write(10, loss=0.5, accuracy=0.25)
        log.write(20, loss=0.125)
    folder = tmp_path / 'boards' / 'mimic' / 'seed 1'
    assert scalars(folder) == SCALARS
    found = hyperparameters(folder)
    chosen = {key: found[key] for key in ('model', 'seed', 'logits', 'loss.kind', 'train.epochs')}
    assert chosen == {
        'model': '8L-32', 'seed': 1, 'logits': 'ensemble', 'loss.kind': 'logits', 'train.epochs': 3
    }  # fmt: skip
    assert found['parameters'] == 64 * 8 + 8 + 8 * 32 + 32 + 32 * 10 + 10
    assert found['train.clip_norm'] == 4.0 and found['views.shift'] == 1
    assert 'loss.temperature' not in found, 'not read by this loss'


def test_a_run_that_goes_on_has_each_step_once(nets, tmp_path):
    net, places = nets['teacher cnn_1'], tmp_path / 'boards'
    with MetricsLog(tmp_path, 0, net, places) as log:
        for step in (10, 20, 30):
            log.write(step, loss=float(step))
    with MetricsLog(tmp_path, 20, net, places) as log:
        log.write(30, loss=-1.0)
    assert scalars(places / 'cnn_1') == [(10, 'loss', 10), (20, 'loss', 20), (30, 'loss', -1)]


def test_a_net_that_another_experiment_trained_is_copied_once(nets, tmp_path):
    artifact, net = tmp_path / 'artifact', nets['student labels, seed 0']
    artifact.mkdir()
    (artifact / 'COMPLETE').write_text('')
    boards.copy(tmp_path, net, artifact, RECORDS)
    folder = tmp_path / 'labels' / 'seed 0'
    assert scalars(folder) == SCALARS
    assert hyperparameters(folder)['logits'] == 'none, labels'
    (path,) = folder.iterdir()
    before = path.stat().st_mtime_ns
    boards.copy(tmp_path, net, artifact, [])
    assert path.stat().st_mtime_ns == before, 'it is there already'
    os.utime(path, (0, 0))  # as if a kill had come while the net was trained further
    boards.copy(tmp_path, net, artifact, RECORDS[:1])
    assert scalars(folder) == SCALARS[:2]


def test_without_a_place_there_is_no_run(nets, tmp_path):
    with MetricsLog(tmp_path, 0, nets['teacher cnn_1'], None) as log:
        log.write(1, loss=1.0)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ['metrics.jsonl']
