import json

import pytest

from mimic_jax.training import metrics_log
from mimic_jax.training.metrics_log import MetricsLog
from mimic_jax.training.settings import Train


class Clock:
    now = 50.0

    def monotonic(self):
        return self.now

    def time(self):
        return 1.5e9 + self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(metrics_log, 'time', clock)
    return clock


def lines(folder):
    return (folder / 'metrics.jsonl').read_text().splitlines()


def test_a_record_is_a_json_object_a_line(tmp_path, clock):
    with MetricsLog(tmp_path) as log:
        clock.now += 2.0004
        log.write(10, loss=0.5, accuracy=0.25)
        clock.now += 1
        log.write(20, loss=0.125)
    assert [json.loads(line) for line in lines(tmp_path)] == [
        {'step': 10, 'seconds': 2.0, 'loss': 0.5, 'accuracy': 0.25},
        {'step': 20, 'seconds': 3.0, 'loss': 0.125},
    ]
    assert metrics_log.read(tmp_path) == [json.loads(line) for line in lines(tmp_path)]


def test_a_record_is_on_disk_at_once(tmp_path):
    with MetricsLog(tmp_path) as log:
        log.write(10, loss=0.5)
        assert len(lines(tmp_path)) == 1


def test_a_folder_without_a_log_has_no_records(tmp_path):
    assert metrics_log.read(tmp_path) == []


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path):
    whole = '{"step": 1, "seconds": 0.5, "loss": 2.0}\n'
    for length in range(len(whole) - 1):
        (tmp_path / 'metrics.jsonl').write_text(whole + whole[:length])
        assert metrics_log.read(tmp_path) == [{'step': 1, 'seconds': 0.5, 'loss': 2.0}]


def test_going_on_from_a_step_drops_the_records_past_it(tmp_path, clock):
    with MetricsLog(tmp_path) as log:
        for step in (10, 20, 30):
            clock.now += 1
            log.write(step, loss=float(step))
    with (tmp_path / 'metrics.jsonl').open('a') as file:
        file.write('{"step": 40, "sec')
    clock.now += 1000  # between the sittings, when nothing ran
    with MetricsLog(tmp_path, 20) as log:
        assert log.seconds == 2.0
        clock.now += 5
        log.write(30, loss=-1.0)
    assert metrics_log.read(tmp_path) == [
        {'step': 10, 'seconds': 1.0, 'loss': 10.0},
        {'step': 20, 'seconds': 2.0, 'loss': 20.0},
        {'step': 30, 'seconds': 7.0, 'loss': -1.0},
    ]


def test_starting_anew_drops_every_record(tmp_path):
    with MetricsLog(tmp_path) as log:
        log.write(10, loss=0.5)
    with MetricsLog(tmp_path):
        pass
    assert metrics_log.read(tmp_path) == []


def test_the_record_of_the_net_that_is_kept():
    values = [0.5, 0.8, 0.7, 0.8, 0.6]
    records = [{'step': 0, 'loss': 1.0}]
    records += [{'step': step, 'validation_accuracy': value} for step, value in enumerate(values)]
    best = Train(schedule='plateau', keep='best')
    assert metrics_log.of_kept(records, best)['step'] == 1  # the first of equals
    for train in (Train(), Train(schedule='plateau')):
        assert metrics_log.of_kept(records, train)['step'] == 4
    assert metrics_log.of_kept(records[:1], best) == metrics_log.of_kept([], Train()) == {}
