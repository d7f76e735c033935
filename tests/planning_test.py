"""What a command will make: FLOPs, bytes and time before it runs, and what is there already."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import tiny_digits

from mimic_jax import pipeline
from mimic_jax.config import experiment as experiments
from mimic_jax.config.fields import as_json
from mimic_jax.data import preprocess
from mimic_jax.data.placement import Placement
from mimic_jax.mimic import logits, teachers
from mimic_jax.mimic.settings import Member
from mimic_jax.ops.text import with_prefix
from mimic_jax.planning import artifacts, compiled_for, machine, table
from mimic_jax.runtime import targets
from mimic_jax.search import stand_ins

# 8×8 digits: 4c3-bn-p2-16-d.5 and 8L-32.
TEACHER = 4 * 9 + 2 * 4 + (4 * 16 + 1) * 16 + 17 * 10
STUDENT = (64 + 1) * 8 + 9 * 32 + 33 * 10


@pytest.fixture
def opened(config, make_session):
    session, plan = make_session(config)
    return session, plan, {work.what: work for work in artifacts.works(plan, session.placement)}


def test_every_artifact_has_its_work(opened):
    session, plan, works = opened
    nets = list(plan.nets())
    assert set(works) == {
        *(net.name for net in nets),
        *(f'answers of {net.name}' for net in nets),
        'logits ensemble',
    }
    rows = len(plan.caches['ensemble'].examples)
    answered = sum(len(session.data.splits[name]) for name in ('validation', 'test'))
    mimic, cache = works['student mimic, seed 0'], works['logits ensemble']
    # 2 a multiply-add; three passes; 2 views of 2 teachers in float16.
    products = 2 * (64 * 8 + 8 * 32 + 32 * 10)
    steps = plan.students['mimic'][0].task.steps
    size = plan.students['mimic'][0].task.train.batch_size
    assert mimic.flops == pytest.approx(3 * products * size * steps, rel=0.01)
    assert mimic.disk == 4 * STUDENT
    assert works['teacher cnn_1'].disk == 4 * (TEACHER + 2 * 4)  # running means and variances
    assert cache.disk == rows * 10 * 2 * 2
    assert works['answers of student mimic, seed 0'].disk == 4 * 10 * answered
    assert works['answers of student mimic, seed 0'].flops == products * answered


def test_what_a_step_keeps_is_at_least_what_its_gradient_reads(opened):
    """The gradient reads the inputs of each layer, and which hidden units are on."""
    session, plan, _ = opened
    found = artifacts.activations(plan.students['mimic'][0], session.placement, 50)
    assert 50 * 4 * (64 + 8 + 32) <= found <= 50 * 4 * 3 * (64 + 8 + 32 + 10)


def test_the_bytes_on_disk_are_those_that_are_written(opened):
    """Beside the arrays there are only descriptions and digests."""
    session, plan, works = opened
    made = [teachers.make(session, member) for member in plan.members.values()]
    made.append(logits.run(session, plan.caches['ensemble']))
    for folder, what in zip(
        made, ['teacher cnn_1', 'teacher cnn_2', 'logits ensemble'], strict=True
    ):
        written = sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())
        assert works[what].disk < written < works[what].disk + 200_000
    text = table.of_artifacts(session, plan, None)
    there = [line for line in text.splitlines() if '| there ' in line]
    assert [line.split()[1] for line in there] == [folder.name for folder in made]
    assert all(line.split('|')[-2].strip() == '' for line in there), 'no time is left for them'
    assert f'{len(works) - 3} of {len(works)} artifacts are to be made' in text
    narrow = table.of_artifacts(session, plan, None, columns=80)
    rows, _ = narrow.split('\n\n')
    assert max(map(len, rows.splitlines())) <= 80
    assert all(folder.name in rows for folder in made)
    assert len(rows.splitlines()) == 2 + 2 * len(works)


@pytest.mark.parametrize('kind', preprocess.KINDS)
def test_shapes_of_statistics_are_known_ahead(kind):
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 4, 2)).astype(np.uint8)
    fitted = preprocess.fit(kind, images, np.arange(40))
    assert preprocess.shapes(kind, images.shape[1:]) == {
        name: array.shape for name, array in fitted.items()
    }
    assert bool(fitted) == (kind in preprocess.FITTED)


def test_time_is_of_products_and_of_bytes():
    assert machine.Machine(2e9, 1e9).seconds(4e9, 3e9) == 5


def test_rates_are_measured():
    """Within a factor of five of NumPy's, on a machine that others use too."""
    found = machine.measure()
    matrix = np.ones((1024, 1024), np.float32)
    call = jax.jit(lambda x: x @ x)
    seconds = machine._seconds(call, jnp.asarray(matrix))
    assert 0.2 < found.products / (2 * 1024**3 / seconds) < 5
    assert 1e8 < found.memory < 1e13


def test_the_phase_computes_nothing(tmp_path, capsys, device):
    config = tiny_digits()
    pipeline.run(config, workdir=tmp_path, experiment='tiny', phase='plan', devices=device)
    out = capsys.readouterr().out
    assert '13 of 13 artifacts are to be made: ' in out and 'measured now' in out
    assert {path.name.partition('-')[0] for path in tmp_path.iterdir() if path.is_dir()} <= {
        'data',
        '.locks',
    }
    pipeline.run(
        *(config,), workdir=tmp_path, experiment='tiny', phase='plan',
        devices=device, compile_for='cuda:h100',
    )  # fmt: skip
    out = capsys.readouterr().out
    assert 'cuda:h100: 1 chips of 74.5 GiB' in out and 'planned, not measured' in out
    assert len([line for line in out.splitlines() if line.startswith('| train')]) == 3


def test_a_search_is_planned_by_the_middle_of_its_space(opened):
    session, plan, _ = opened
    text = table.of_artifacts(session, plan, (7, plan.members['cnn_1']))
    assert 'a search before it: at most 7 trials, each about as 4c3-bn-p2-16-d.5' in text


@pytest.mark.parametrize(
    ('value', 'figure'), [(0, '0 '), (999, '999 '), (12_345, '12.3 k'), (3e12, '3 T'), (None, '?')]
)
def test_figures_have_three_digits(value, figure):
    assert with_prefix(value) == figure


@pytest.mark.parametrize(
    ('value', 'figure'),
    [(0, '0 B'), (2048, '2 KiB'), (300 * 2**20, '300 MiB'), (1.5 * 2**40, '1.5 TiB')],
)
def test_sizes_have_binary_units(value, figure):
    assert table._size(value) == figure


@pytest.mark.parametrize(
    ('seconds', 'time'), [(0.25, '0.25 s'), (90, '2 min'), (3700, '1 h 02 min'), (90000, '1 d 1 h')]
)
def test_times_are_as_people_say_them(seconds, time):
    assert table._time(seconds) == time


# Members from studies.


def members_from(study, choice='best'):
    config = tiny_digits()
    for rank, member in enumerate(config.members.values(), 1):
        member.model = ''
        member.from_study = {'rank': rank, 'study': study, 'choice': choice}
    return config


def printed(config, workdir, device, capsys, **more):
    pipeline.run(
        *(config,), workdir=workdir, experiment='tiny', phase='plan', devices=device, **more
    )
    made = {path.name.partition('-')[0] for path in workdir.iterdir() if path.is_dir()}
    assert made <= {'data', '.locks'}, 'nothing is trained or asked'
    return capsys.readouterr().out


@pytest.mark.parametrize('choice', ['best', 'greedy'])
def test_members_of_a_study_that_is_not_there_are_left_out(tmp_path, capsys, device, choice):
    """Of 13 artifacts two teachers and their answers are not counted; the mimics have no name yet."""
    out = printed(members_from('nets', choice), tmp_path, device, capsys)
    assert '9 of 9 artifacts are to be made' in out and 'teacher cnn_' not in out
    assert 'not counted: cnn_1, cnn_2, from a study (' in out
    assert ('greedy choice' if choice == 'greedy' else "no study 'nets'") in out
    (cache,) = (line for line in out.splitlines() if 'logits ensemble' in line)
    assert [cell.strip() for cell in cache.split('|')[1:5]] == [
        '–',
        'logits ensemble',
        'to make',
        '?',
    ]
    assert len([line for line in out.splitlines() if 'labels, seed' in line and '| –' in line]) == 0
    out = printed(members_from('nets'), tmp_path, device, capsys, compile_for='cuda:h100')
    assert 'teacher' not in out and '| train' in out


def test_members_of_the_experiments_own_search_are_its_trials(tmp_path, capsys, device):
    config = members_from('')
    config.search = {
        'space': {'width': {'low': 4, 'high': 12, 'int': True}},
        'member': {'model': '{width}', 'train': {'epochs': 1}},
        'trials': 5,
        'study': 'nets',
    }
    out = printed(config, tmp_path, device, capsys)
    assert '9 of 9 artifacts are to be made' in out
    assert 'a search before it: at most 5 trials, each about as 8 ' in out
    (cache,) = (line for line in out.splitlines() if 'logits ensemble' in line)
    assert cache.split('|')[4].strip() != '?', 'nets of a like size'


def test_equal_artifacts_are_counted_once(config, make_session):
    config.members.cnn_2 = config.members.cnn_1
    session, plan = make_session(config)
    text = table.of_artifacts(session, plan, None)
    assert '11 of 11 artifacts are to be made' in text


def test_calls_on_a_target_are_those_of_all_nets_and_caches(config, make_session):
    config.logits.one = {'members': ('cnn_1',), 'views': 3}
    session, plan = make_session(config)
    target = targets.parse('cuda:h100')
    placement = Placement(session.data, session.run, target.mesh())
    found = {}
    for cost in compiled_for.costs(plan, placement, target):
        found.setdefault((cost.program, cost.net), []).append(cost.calls)
    teacher, mimic = plan.members['cnn_1'], plan.students['mimic']
    assert found['train', teacher.name] == [2 * teacher.task.steps]
    assert found['train', mimic[0].name] == [len(mimic) * mimic[0].task.steps]
    batches = -(-len(plan.caches['one'].examples) // session.run.evaluation_batch_size)
    views = plan.caches['ensemble'].settings.views
    assert found['label', teacher.name] == [2 * views * batches, 3 * batches]


def test_members_of_a_finished_study_are_known(tmp_path):
    optuna = pytest.importorskip('optuna', reason="needs Optuna: pip install -e '.[search]'")
    storage = f'sqlite:///{tmp_path / "studies.sqlite"}'
    study = optuna.create_study(study_name='nets', storage=storage, direction='maximize')
    study.set_user_attr('data', 'these')
    for model, value in (('8', 0.5), ('16', 0.7)):
        trial = study.ask()
        trial.set_user_attr('member', as_json(Member(model=model)))
        study.tell(trial, value)
    checked = experiments.read(members_from('nets'))
    found, standing = stand_ins.for_members(checked.members, checked.search, tmp_path, 'these')
    assert {name: member.model for name, member in found.items()} == {'cnn_1': '16', 'cnn_2': '8'}
    assert not standing
    _, standing = stand_ins.for_members(checked.members, checked.search, tmp_path, 'others')
    assert set(standing) == {'cnn_1', 'cnn_2'} and 'other data' in standing['cnn_1'].why
