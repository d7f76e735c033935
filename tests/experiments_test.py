"""Every experiment and every preset of it locks, is valid, and its nets and splits can be made."""

import functools
from pathlib import Path

import ml_collections
import pytest
from artifact_names import SOURCES, divided
from conftest import ROOT, load_experiment, refusal
from ml_collections.config_flags import config_path

from mimic_jax.config import experiment as experiments
from mimic_jax.config import urban
from mimic_jax.data.view_settings import own_views
from mimic_jax.errors import UserError
from mimic_jax.models import counts, notation
from mimic_jax.models import nets as nets_of
from mimic_jax.search import from_study, trials

NAMES = sorted(path.stem for path in Path(ROOT, 'experiments').glob('*.py'))


def presets(name):
    return getattr(load_experiment(name), 'PRESETS', {})


CASES = [(name, preset) for name in NAMES for preset in ('', *presets(name))]


@pytest.fixture(params=CASES, ids=lambda case: ':'.join(filter(None, case)))
def settings(request):
    name, preset = request.param
    return load_experiment(name).get_config(preset)


def test_there_are_experiments():
    assert 'digits_student' in NAMES


def test_the_config_locks(settings):
    assert isinstance(settings, ml_collections.ConfigDict)
    settings.lock()
    with pytest.raises(AttributeError):
        settings.data.trian = 3
    with pytest.raises(AttributeError):
        settings.studnets = {}


def test_no_two_entries_share_a_group_of_settings(settings):
    """One dict given to two entries stays one: a flag for the first would change the second."""
    groups = list(_groups(settings))
    assert len({id(group) for group in groups}) == len(groups)


def _groups(config):
    yield config
    for value in config.values():
        if isinstance(value, ml_collections.ConfigDict):
            yield from _groups(value)


def parameters(net, model, shape, classes):
    return nets_of.make(model, net.model_args, classes, shape).describe(shape).parameters


def test_the_config_is_valid_and_its_nets_can_be_made(settings):
    checked = experiments.read(settings)
    shape, classes, *_ = SOURCES[checked.data.name]
    teachers = checked.members or any(cache.source.path for cache in checked.logits.values())
    of_teachers = any(row.source.startswith('logits') for row in checked.report.rows.values())
    nets = teachers and (checked.students or checked.search.kind or of_teachers)
    assert nets or checked.baselines
    members = [member for member in checked.members.values() if not member.from_study.rank]
    students = [student for student in checked.students.values() if not student.from_study.rank]
    if checked.search.kind:
        ends = [trials.middle(checked.search), trials.largest(checked.search)]
        (students if checked.search.kind == 'student' else members).extend(ends)
    for member in members:
        assert parameters(member, member.model, shape, classes) > 0
    for student in students:
        model = student.model
        if '?' in model:
            model = notation.solve(model, student.budget, shape, classes)
        count = parameters(student, model, shape, classes)
        assert count > 0 and (not student.budget or count <= student.budget)
    if checked.alignment.rounds:
        assert counts.count(checked.alignment.net.model, shape, classes).params > 0


def test_the_splits_can_be_made_and_batches_filled(settings):
    checked = experiments.read(settings)
    dataset = divided(checked.data)
    train = len(dataset.splits['train'])
    for member in checked.members.values():
        assert member.train.batch_size <= round(member.subset * train)
    for cache in checked.logits.values():
        assert len(dataset.examples(cache.transfer, 'here')) >= train
    for student in checked.students.values():
        assert student.train.batch_size <= train


def test_every_net_is_in_the_report(settings):
    """What is trained is also shown; members may stand in it as their ensemble."""
    checked = experiments.read(settings)
    if not checked.report.rows:
        return  # all are shown
    shown = {checked.report.rows[name].source for name in checked.report.order}
    for name in checked.students:
        assert f'students.{name}' in shown
    mimicked = {student.logits for student in checked.students.values()}
    for name in checked.logits:
        assert f'logits.{name}' in shown or name in mimicked


@pytest.mark.parametrize('name', NAMES)
def test_an_unknown_preset_is_an_error_that_names_it(name):
    for arg in ('nonesuch', ','.join([*presets(name), 'nonesuch'][-2:])):
        with pytest.raises((ValueError, UserError), match="unknown preset 'nonesuch'") as caught:
            load_experiment(name).get_config(arg)
        words = {word for preset in presets(name) for word in preset.split(',')}
        assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize('name', NAMES)
def test_presets_are_described_where_the_run_advises_them(name):
    described = [advice.split()[0] for advice in load_experiment(name).get_config().presets]
    assert set(described) <= set(presets(name)), 'no preset is promised that is not there'
    assert bool(described) == bool(presets(name))


@pytest.mark.parametrize('name', NAMES)
def test_the_docstring_gives_the_commands(name):
    text = load_experiment(name).__doc__
    command = f'python -m mimic_jax.main --config=experiments/{name}.py'
    assert command in text
    for preset in presets(name):
        if ',' in preset:  # of presets that go together
            assert all(f':{word}`' in text for word in preset.split(','))
        elif f':{preset}`' not in text:
            assert f'{command}:{preset}' in text


@pytest.mark.parametrize('name', NAMES)
def test_configs_of_two_calls_share_nothing(name):
    first, second = (load_experiment(name).get_config() for _ in range(2))
    first.data.seed = 99
    for student in first.students.values():
        if 'train' in student:
            student.train.epochs = 99999
    assert second.data.seed != 99
    for student in second.students.values():
        assert student.get('train', {}).get('epochs') != 99999


@pytest.mark.parametrize('size', ['', ',small'])
@pytest.mark.parametrize('claim', ['losses', 'bottleneck', 'transfer', 'overfitting', 'targets'])
def test_claims_of_ba_and_caruana_have_the_teachers_of_cifar_student(claim, size):
    """Same nets, data and views: or they would be trained again."""
    claims = experiments.read(load_experiment('cifar_claims').get_config(claim + size))
    student = experiments.read(load_experiment('cifar_student').get_config(size[1:]))
    assert claims.members.keys() == student.members.keys()
    for name, member in claims.members.items():
        other = student.members[name]
        assert (member.model, member.seed, member.train) == (other.model, other.seed, other.train)
        assert own_views(member.views, claims.views) == own_views(other.views, student.views)


@pytest.mark.parametrize('size', ['', ',small'])
@pytest.mark.parametrize(
    'claim', ['losses', 'bottleneck', 'transfer', 'overfitting', 'targets', 'noise10']
)
def test_students_of_a_claim_see_as_many_examples(claim, size):
    """Within a tenth: or what is compared is also a longer training."""
    chosen = experiments.read(load_experiment('cifar_claims').get_config(claim + size))
    splits = {'train': chosen.data.train, 'unlabelled': chosen.data.unlabelled}
    seen = {}
    for name, student in chosen.students.items():
        examples = chosen.data.train
        if student.logits:
            logits = chosen.logits[student.logits]
            examples = logits.limit or sum(splits[split] for split in logits.transfer)
        seen[name] = examples * student.train.epochs
    assert max(seen.values()) < 1.1 * min(seen.values()), seen
    if claim == 'transfer':
        assert len({logits.views for logits in chosen.logits.values()}) == 1


def test_overfitting_nets_differ_in_dropout_and_targets_alone():
    students = load_experiment('cifar_claims').get_config('overfitting,small').students
    plain, dropout, mimic = (students[name] for name in ('labels', 'dropout', 'mimic'))
    assert plain.model == mimic.model and plain.train == dropout.train
    kept = [token for token in dropout.model.split('-') if not token.startswith('d.')]
    assert '-'.join(kept) == plain.model != dropout.model
    assert [net.train.schedule for net in (plain, dropout, mimic)] == ['constant'] * 3
    assert [net.target for net in (plain, dropout, mimic)] == ['labels', 'labels', 'logits']


def test_the_students_of_urban_et_al_are_taught_by_the_members_that_their_search_finds():
    """Same study, same ranks, same data: or the second experiment would refuse the first's trials."""
    for preset in ('', 'small', 'smoke'):
        search, table = (
            load_experiment(name).get_config(preset)
            for name in ('urban_teachers', 'urban_students')
        )
        assert search.logits.ensemble.members == table.logits.ensemble.members
        for name in table.logits.ensemble.members:
            assert table.members[name] == search.members[name]
        assert search.members.best_01.from_study.study == ''  # which is config.search.study
        assert search.search.study == table.search.study
        assert search.data == table.data and search.views == table.views


@pytest.mark.parametrize(
    ('name', 'preset'),
    [
        ('urban_teachers', ''), ('urban_teachers', 'small'),
        ('urban_student_search', ''), ('urban_student_search', 'small,labels'),
    ],
)  # fmt: skip
def test_what_a_search_finds_is_read_from_where_it_searches(name, preset):
    """One flag for the study's name, one for its database."""
    chosen = load_experiment(name).get_config(preset)
    teachers = chosen.members.best_01.from_study.study
    config_path.set_value('search.study', chosen, 'another')
    config_path.set_value('search.storage', chosen, 'sqlite:///elsewhere.db')
    checked = experiments.read(chosen)
    nets = [*checked.members.values(), *checked.students.values()]
    studies = [from_study.source(net, checked.search) for net in nets if net.from_study.rank]
    assert {study.storage for study in studies} == {'sqlite:///elsewhere.db'}
    found = {'another'} if name == 'urban_teachers' else {'another', teachers}
    assert {study.study for study in studies} == found


def test_presets_of_the_table_of_urban_et_al_pick_its_cells():
    table = load_experiment('urban_students')
    for preset, names in {
        '3M16,conv_2': {'conv_2_3M16'},
        'conv_2': {*(f'conv_2_{budget}' for budget in urban.BUDGETS), 'conv_2_labels'},
        'small,320k,conv_1': {'conv_1_320k', 'conv_1_labels'},
        'small,mlp_1,100k': {'mlp_1_100k'},
    }.items():
        chosen = table.get_config(preset)
        assert set(chosen.students) == names
        assert set(chosen.report.order) == names | {'ensemble'}
        experiments.read(chosen)


@pytest.mark.parametrize('size', ['', 'small'])
def test_every_searched_student_of_urban_et_al_has_its_search(size):
    """Study, cache and data of the one experiment are those of the other, or it would refuse them."""
    table, search = (load_experiment(f'urban_{name}') for name in ('students', 'student_search'))
    whole = table.get_config(','.join(filter(None, (size, 'searched'))))
    theirs = experiments.read(whole)

    @functools.cache  # five ranks have one search
    def searched(family, budget):
        found = search.get_config(','.join(filter(None, (size, family, budget))))
        return found, experiments.read(found)

    names = table.get_config(size).students
    assert {name for name in whole.students if name in names} == {
        name for name in names if 'labels' in name
    }
    for name, student in whole.students.items():
        cell = name if name in names else name.rpartition('_')[0]
        rank = 1 if cell == name else int(name[-1])
        family, _, budget = cell.rpartition('_')
        assert student.from_study.rank == rank <= 5
        found, ours = searched(family, budget)
        assert found.search.study == student.from_study.study
        for part in ('data', 'views', 'logits'):
            assert found[part] == whole[part]
        assert ours.members.keys() == theirs.members.keys()
        for member, net in ours.members.items():
            expected = from_study.source(theirs.members[member], theirs.search)
            assert from_study.source(net, ours.search) == expected
        notation.solve(trials.largest(ours.search).model, found.search.student.budget)  # it fits


def test_a_point_of_figure_1_of_urban_et_al_is_five_searched_nets():
    chosen = experiments.read(load_experiment('urban_students').get_config('searched'))
    rows = [chosen.report.rows[name] for name in chosen.report.order]
    found = {}
    for row in rows:
        found.setdefault((row.curve, row.x), []).append(row.paper)
    assert found['3 conv, 3 mp', 10e6] == [0.9184] * 5  # the paper's mean of five
    assert found['3 conv, 3 mp, on labels', 10e6] == [0.912]
    gap = chosen.report.gaps['compression_conv_1']
    assert (gap.low, gap.high) == (('conv_1_labels',), ('conv_1_10M_1',))
    (point,) = chosen.report.points.values()
    assert (point.x, point.accuracy) == (70e6, 0.858)


def test_the_search_for_a_student_has_the_ranges_of_urban_et_al():
    space = load_experiment('urban_student_search').get_config('conv_4,3M16').search.space
    ends = {name: (entry.low, entry.high) for name, entry in space.items()}
    assert ends == {
        **{'c1': (50, 150), 'c2': (50, 150), 'c3': (50, 200), 'c4': (50, 200)},
        **{'rate': (0.0013, 0.016), 'momentum': (0.68, 0.97)},
        **{'input_scale': (0.8, 1.25), 'init': (0.4, 2.0)},
    }


def test_regularised_students_of_urban_et_al_have_the_plain_ones_widths():
    for size in ('', ',small'):
        students = load_experiment('urban_students').get_config(f'regularised{size}').students
        for name, student in students.items():
            plain = students[name.removesuffix('_decay').removesuffix('_dropout')]
            models = [
                '-'.join(token for token in net.model.split('-') if not token.startswith('d.'))
                for net in (student, plain)
            ]
            assert models[0] == models[1] == plain.model
            regular = bool(student.train.weight_decay) + (student.model != plain.model)
            assert regular == (student is not plain)


def test_budgets_and_families_of_urban_et_al_may_be_several():
    students = load_experiment('urban_students').get_config('1M,3M16,mlp_1,conv_2').students
    assert set(students) == {'mlp_1_1M', 'mlp_1_3M16', 'conv_2_1M', 'conv_2_3M16'}


def test_fast_students_of_urban_et_al_have_twins_on_labels_at_a_million():
    config = load_experiment('urban_students').get_config('fast')
    assert len(config.logits.ensemble.members) == len(config.members) == 3
    assert {net.train.epochs for net in config.students.values()} == {160}
    assert set(config.report.order) == {'ensemble', *config.students}
    twins = {name for name in config.students if name.endswith('_1M_labels')}
    assert twins == {f'{family}_1M_labels' for family in urban.ON_LABELS}
    for name in twins:
        twin, mimic = config.students[name], config.students[name.removesuffix('_labels')]
        tokens = [token for token in twin.model.split('-') if not token.startswith('d.')]
        assert '-'.join(tokens) == mimic.model != twin.model
        assert (twin.target, twin.budget) == ('labels', mimic.budget)
        assert twin.train.weight_decay > 0 == mimic.train.weight_decay


@pytest.mark.parametrize(
    'name, arg, words',
    [
        ('urban_students', 'small,1M', 'leaves no student'),
        ('urban_students', 'small,conv_4', 'leaves no student'),
        ('urban_students', '100k', 'leaves no student'),
        ('urban_students', 'hinton,1M', "'hinton' has no net"),
        ('urban_students', 'regularised,mlp_2', "'regularised' has no net"),
        ('urban_students', 'regularised,searched', "'regularised' has no net"),
        ('urban_student_search', 'conv_1,conv_2', 'exclude each other'),
        ('urban_student_search', 'mlp_2,labels', 'labels goes with'),
        ('urban_student_search', '320k', 'with small'),
    ],
)
def test_presets_of_urban_et_al_that_do_not_go_together(name, arg, words):
    with pytest.raises(ValueError, match=words):
        load_experiment(name).get_config(arg)


@pytest.mark.parametrize(
    ('name', 'arg'),
    [
        ('cifar_table2', 'cnn,small'),
        ('cifar_table2', 'protocol,cnn'),
        ('cifar_table2', 'smoke,small'),
        ('urban_teachers', 'printed,small'),
        ('urban_teachers', 'smoke,small'),
    ],
)
def test_presets_that_exclude_each_other_are_told_in_a_line(name, arg):
    first, second = arg.split(',')
    assert refusal(load_experiment(name).get_config, arg) == (
        f'presets {first} and {second} exclude each other; name one'
    )


def test_a_size_and_the_protocol_go_in_either_order():
    table = load_experiment('cifar_table2')
    found = table.get_config('protocol,small')
    assert found.to_json() == table.get_config('small,protocol').to_json()
    assert found.data.transfer.limit == 40_000 and tuple(found.logits) == tuple(table.TRANSFER)


@pytest.mark.parametrize('size', ['', 'sample'])  # the table's own is called small
@pytest.mark.parametrize(
    ('name', 'preset'),
    [
        ('timit_figures', 'figure1'), ('timit_figures', 'figure2'), ('timit_figures', 'figure3'),
        ('timit_claims', 'bottleneck'), ('timit_claims', 'losses'),
    ],
)  # fmt: skip
def test_figures_and_claims_on_speech_have_the_teachers_of_table_1(name, preset, size):
    """Same members, ensemble, alignment and data: or they would be trained again."""
    table = experiments.read(load_experiment('timit_table1').get_config(size and 'small'))
    chosen = ','.join(filter(None, (preset, size)))
    found = experiments.read(load_experiment(name).get_config(chosen))
    assert found.data == table.data and found.alignment == table.alignment
    assert found.logits['ecnn'] == table.logits['ecnn']
    for member, settings in found.members.items():
        assert settings == table.members[member]
    assert {member for cache in found.logits.values() for member in cache.members} <= {
        *found.members
    }


@pytest.mark.parametrize(
    ('name', 'arg'),
    [
        ('timit_student', 'sample'), ('timit_figures', 'figure1,sample'),
        ('timit_figures', 'figure3,sample'), ('timit_claims', 'bottleneck,sample'),
    ],
)  # fmt: skip
def test_mimics_on_the_sample_are_trained_as_in_table_1(name, arg):
    def rates(settings):
        students = settings.students.values()
        return {each.train.learning_rate for each in students if each.target == 'logits'}

    table = rates(load_experiment('timit_table1').get_config('small'))
    assert rates(load_experiment(name).get_config(arg)) == table and len(table) == 1


# Of Ba & Caruana's Table 1: PER, and what our own count of parameters, in millions, and hidden units is
# where theirs is plain.
TABLE_1 = {
    'SNN-8k': (0.231, 16.2, 8_000),
    'SNN-50k': (0.230, 101.45, 50_000),
    'SNN-400k': (0.236, 174.06, 400_250),
    'DNN': (0.219, 12.06, 6_000),
    'CNN': (0.195, 12.93, None),
    'ECNN': (0.185, None, None),
    'SNN-MIMIC-8k': (0.216, 3.9, 8_250),
    'SNN-MIMIC-400k': (0.200, 174.06, 400_250),
}


def test_table_1_has_the_papers_rows():
    settings = experiments.read(load_experiment('timit_table1').get_config())
    shape, classes, *_ = SOURCES['timit']
    rows = {row.label: row for row in settings.report.rows.values() if row.paper > 0}
    assert {label: row.paper for label, row in rows.items()} == {
        label: rate for label, (rate, *_) in TABLE_1.items()
    }
    assert all(row.paper_parameters and row.paper_units for row in rows.values())
    for label, (_, millions, units) in TABLE_1.items():
        group, name = rows[label].source.split('.')
        if group == 'logits':
            continue
        counted = counts.count(getattr(settings, group)[name].model, shape, classes)
        assert counted.params / 1e6 == pytest.approx(millions, abs=0.06)
        assert units is None or counted.units == units


def test_the_nine_members_differ_in_kernel_and_in_training_subset():
    for name in ('timit_student', 'timit_table1'):
        settings = experiments.read(load_experiment(name).get_config())
        members = [settings.members[member] for member in settings.logits['ecnn'].members]
        assert len({member.model for member in members}) == len(members) == 9
        assert {member.subset for member in members} == {0.9}
        assert len({member.seed for member in members}) == 9  # which draws the subset


def test_the_speech_demo_says_in_each_row_that_its_speech_is_synthetic():
    for preset in ('', 'smoke'):
        settings = experiments.read(load_experiment('speech_demo').get_config(preset))
        rows = [settings.report.rows[name] for name in settings.report.order]
        assert rows and all(row.label.startswith('synthetic speech: ') for row in rows)


def test_figure_1_spans_1m_to_100m_parameters_and_has_both_lines():
    settings = experiments.read(load_experiment('timit_figures').get_config('figure1'))
    shape, classes, *_ = SOURCES['timit']
    curves = {}
    for row in settings.report.rows.values():
        if row.curve:
            student = settings.students[row.source.removeprefix('students.')]
            model = notation.solve(student.model, student.budget, shape, classes)
            counted = counts.count(model, shape, classes).params
            assert 0.99 * row.x < counted <= row.x == student.budget
            assert ('d.5' in student.model) == (student.target == 'labels' and row.x > 1e6)
            curves.setdefault(row.curve, []).append(row.x)
    ends = {curve: (min(x), max(x)) for curve, x in curves.items()}
    assert ends == dict.fromkeys(('SNN', 'DNN', 'SNN-MIMIC'), (1e6, 1e8))
    lines = {row.source for row in settings.report.rows.values() if row.line}
    assert lines == {'members.cnn', 'logits.ecnn'}


def test_figure_2s_shorter_runs_are_the_beginnings_of_its_longer_ones():
    settings = experiments.read(load_experiment('timit_figures').get_config('figure2'))
    assert {student.train.schedule for student in settings.students.values()} == {'constant'}
    assert {student.train.warmup for student in settings.students.values()} == {0.0}
    for name, student in settings.students.items():
        assert settings.report.rows[name].x == student.train.epochs


def test_figure_3s_mimics_stand_against_their_own_teachers():
    settings = experiments.read(load_experiment('timit_figures').get_config('figure3'))
    pairs = {
        (row.curve, row.against)
        for name, row in settings.report.rows.items()
        if row.curve and settings.students[name].logits == row.against
    }
    assert len(pairs) == len(settings.students) == 2 * len(settings.logits)
    assert {curve for curve, _ in pairs} == {'mimic with 8k units', 'mimic with 160k units'}


@pytest.mark.parametrize('size', ['', 'small', 'smoke'])
def test_a_search_of_urban_et_al_has_trials_that_the_gaussian_process_suggests(size):
    teachers, students = (
        load_experiment(name).get_config(size).search
        for name in ('urban_teachers', 'urban_student_search')
    )
    for search in (teachers, students):
        assert search.startup < search.trials
    assert len(teachers.space) == 18


def test_the_search_of_urban_et_al_has_their_18_hyperparameters():
    space = load_experiment('urban_teachers').get_config().search.space
    assert len(space) == 18
    ends = {name: (entry.low, entry.high) for name, entry in space.items()}
    assert ends['c3'] == (128, 384) and ends['momentum'] == (0.8, 0.91)
    assert {name for name, entry in space.items() if entry.get('log')} == {'rate', 'momentum'}
