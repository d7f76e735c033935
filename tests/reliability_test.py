"""The programs that measure reliability: what they count, and the table that is made of it."""

import json
import random
import time

import pytest
from conftest import load_benchmark

KILLS = {
    'config': 'experiments/digits_student.py',
    'kills': 3,
    'by_phase': {'student': 1, 'teacher, inside checkpoint': 2},
    'workdirs': 2,
    'equal': True,
    'rounds': [{'seed': 0}],
}
CORRUPTION = {'cases': 9, 'kinds': 4, 'found': 6, 'harmless': 3, 'silent': 0, 'crashed': 0}
LONG_RUN = {'count': 2000, 'megabytes': 612.4, 'megabytes_growth': 1.6, 'files': 30}
HOSTS = {
    'runs': [{'processes': 2, 'differences': {'teacher': 1.2e-7, 'logits': 0.001}}],
    'killed': {
        'kills': [{'processes': 4, 'seconds': 24.4, 'said': 3}],
        'differences': {'teacher': 3e-5},
    },
}
MADE = {'command': 'python it', 'date': '2026-01-01'}


@pytest.fixture
def parts(tmp_path):
    content = {
        'kills_digits': KILLS,
        'corruption': {**CORRUPTION, 'outcomes': [{}]},
        'untrusted': {'cases': 2700},
        'tests': {
            'claims': [
                {'name': 'a claim', 'passed': 5, 'skipped': 0},
                {'name': 'another', 'passed': 2, 'skipped': 1},
            ]
        },
        'long_runs': {'parts': [{**LONG_RUN, 'name': 'steps', 'files_growth': 0, 'looks': []}]},
        'hosts': HOSTS,
    }
    for name, part in content.items():
        (tmp_path / f'{name}.json').write_text(json.dumps({**part, **MADE}))
    return tmp_path


def test_the_table_is_made_of_what_the_programs_wrote(parts):
    reliability = load_benchmark('reliability')
    result = reliability.together(parts)
    assert all({'command', 'date'} <= set(row) for row in result['rows'])
    cells = [
        [cell.strip() for cell in line.split('|')[1:-1]]
        for line in reliability.table(result['rows']).splitlines()[2:]
    ]
    assert cells == [
        [
            'files damaged, exchanged or deleted',
            '9 cases, 4 kinds of file',
            '6 named with what to do, 3 harmless, 0 silent, 0 with a traceback',
        ],
        [
            'several hosts',
            '2 processes',
            'logits differ from one process’s by at most: teacher 1e-07, logits 1e-03',
        ],
        [
            'several hosts, one killed',
            'one of 4',
            'the others stopped with a line after 24 s; one process finished: teacher 3e-05',
        ],
        [
            'SIGKILL, experiments/digits_student.py',
            '3 kills, 2 inside a write',
            '2 runs finished, bit-identical to an uninterrupted run',
        ],
        ['long runs', '2,000 steps, a checkpoint every 20', 'memory +2 MB of 612, open files +0 of 30'],
        ['a claim', '5 tests', 'all passed'],
        ['another', '3 tests', 'all passed but 1 skipped'],
        ['malformed specs, configs and files', '2,700 cases', 'each a line or a right answer'],
    ]  # fmt: skip


def test_a_difference_after_a_kill_is_never_told_as_equal(parts):
    reliability = load_benchmark('reliability')
    different = json.dumps({**KILLS, **MADE, 'equal': False})
    (parts / 'kills_digits.json').write_text(different)
    assert 'DIFFERENT' in reliability.table(reliability.together(parts)['rows'])


def test_the_file_leaves_out_single_cases(parts):
    text = json.dumps(load_benchmark('reliability').together(parts))
    assert '"rounds"' not in text and '"outcomes"' not in text and '"looks"' not in text
    assert '"by_phase"' in text


def test_cases_of_hypothesis_are_those_that_passed():
    statistics = """
      - during reuse phase (0.01 seconds):
        - Typical runtimes: < 1ms, of which < 1ms in data generation
        - 3 passing examples, 0 failing examples, 0 invalid examples
      - during generate phase (0.20 seconds):
        - 297 passing, 0 failing, and 41 invalid test cases
    """
    assert load_benchmark('reliability').cases(statistics) == 300


def test_tests_are_counted_by_the_last_line():
    counted = load_benchmark('reliability').counted
    text = (
        '9 passed in the name of a test\n==== 12 passed, 3 skipped, 40 deselected in 9.11s ====\n'
    )
    assert counted(text, 'passed') == 12 and counted(text, 'skipped') == 3
    assert counted('== 1 passed in 1.0s ==', 'skipped') == 0


def test_hosts_that_differ_or_do_not_stop_are_a_failure():
    hosts = load_benchmark('hosts')
    found = {'differences': {'teacher': 0.03}, 'largest_logits': {'teacher': 4.0}}
    assert hosts.apart(found) == ''
    found['differences']['teacher'] = 0.05
    assert hosts.apart(found) == 'the logits of a teacher differ by 0.05, of 4'
    kill = {'processes': 4, 'seconds': 30.0, 'said': 3}
    assert hosts.slow(kill) == ''
    for spoiled in ({'said': 2}, {'seconds': 61.0}):
        assert 'of 3 others said why they stopped' in hosts.slow({**kill, **spoiled})


def test_a_long_run_that_grows_is_a_failure():
    has_grown = load_benchmark('long_runs').has_grown
    part = {'megabytes': 600.0, 'megabytes_growth': 17.0, 'files_growth': 2.0}
    assert not has_grown(part)
    assert has_grown({**part, 'megabytes_growth': 19.0}) and has_grown(
        {**part, 'files_growth': 3.0}
    )


def test_growth_leaves_out_warming_up_and_single_peaks():
    growth = load_benchmark('long_runs').growth
    values = [100, 300, 400, 400, 400, 900, 400, 401, 402, 403]
    looks = [{'megabytes': value, 'files': 7} for value in values]
    found = growth(looks)
    assert found['megabytes_growth'] == 402.5 - 400 and found['files_growth'] == 0
    assert found['megabytes'] == 402.5 and found['looks_taken'] == 10


def test_a_kill_is_told_by_what_lies_there(tmp_path):
    kills = load_benchmark('kills')
    teacher, since = tmp_path / 'teacher-0123456789ab', time.time() - 60
    assert kills.where(tmp_path, 2, since) == 'start'
    (teacher / 'checkpoints' / '8.orbax-checkpoint-tmp').mkdir(parents=True)
    assert kills.where(tmp_path, 2, since) == 'teacher, inside checkpoint'
    later = time.time() + 60
    assert kills.where(tmp_path, 2, later) == 'teacher', 'an earlier kill left that'
    assert not kills.is_now(tmp_path, 'checkpoint', later)
    assert kills.is_now(tmp_path, 'checkpoint', since) and not kills.is_now(
        tmp_path, 'cache', since
    )
    (tmp_path / kills.STUDY).touch()
    assert kills.where(tmp_path, 2, since) == 'search, inside checkpoint'
    (tmp_path / f'{kills.STUDY}-journal').touch()
    assert kills.where(tmp_path, 2, since) == 'search, inside study' and kills.is_now(
        tmp_path, 'study', since
    )
    (tmp_path / f'{kills.STUDY}-journal').unlink()
    (teacher / 'COMPLETE').touch()
    assert kills.where(tmp_path, 2, since) == 'between artifacts'
    assert kills.where(tmp_path, 1, since) == 'report'


class Sleeper:
    """A process that runs for some seconds."""

    def __init__(self, seconds: float):
        self.end = time.monotonic() + seconds

    def is_alive(self) -> bool:
        return time.monotonic() < self.end


def test_a_kill_waits_for_its_moment_and_no_longer_than_the_run(tmp_path):
    kills = load_benchmark('kills')
    assert not kills.watch(Sleeper(9), tmp_path, None, 0, 0.05, 9, 0)
    assert not kills.watch(Sleeper(0.1), tmp_path, 'cache', 0, 0, 9, 0)
    view = tmp_path / 'logits-0123456789ab' / 'views' / '3.orbax-checkpoint-tmp'
    view.mkdir(parents=True)
    late = random.Random(0).uniform(0, 0.02)
    assert kills.watch(Sleeper(9), tmp_path, 'cache', 0, 0, 9, late)
