import dataclasses
import json

import ml_collections
import pytest

from mimic_jax import config, settings
from mimic_jax.config import (
    Data,
    Experiment,
    Logits,
    Loss,
    Member,
    Report,
    Row,
    Run,
    Student,
    Train,
    Views,
)
from mimic_jax.errors import UserError


def small():
    """A config with one of everything, as a plain dict."""
    return {
        'members': {'cnn': {'model': '8c3'}},
        'logits': {'ecnn': {'members': ('cnn',)}},
        'students': {
            'labels': {'model': '8L-9'},
            'mimic': {
                'model': '8L-9',
                'target': 'logits',
                'logits': 'ecnn',
                'loss': {'kind': 'logits'},
            },
        },
        'report': {
            'ensemble': 'ecnn',
            'order': ('mimic',),
            'rows': {'mimic': {'source': 'students.mimic'}},
        },
    }


def changed(path, value):
    """`small()` with the setting at a dotted path replaced."""
    result = small()
    *groups, key = path.split('.')
    part = result
    for group in groups:
        part = part.setdefault(group, {})
    part[key] = value
    return result


def refusal(mapping):
    with pytest.raises(UserError) as caught:
        config.experiment(ml_collections.ConfigDict(mapping))
    message = str(caught.value)
    assert '\n' not in message
    return message


def test_a_config_becomes_typed_parts():
    result = config.experiment(ml_collections.ConfigDict(small()))
    assert result.members == {'cnn': Member(model='8c3')}
    assert result.logits == {'ecnn': Logits(members=('cnn',))}
    assert result.students['mimic'] == Student(
        model='8L-9', target='logits', logits='ecnn', loss=Loss(kind='logits')
    )
    assert result.report == Report(
        rows={'mimic': Row(source='students.mimic')}, order=('mimic',), ensemble='ecnn'
    )
    assert result.data == Data() and result.views == Views() and result.run == Run()


def test_a_locked_config_and_a_plain_dict_read_the_same():
    locked = ml_collections.ConfigDict(small()).lock()
    frozen = ml_collections.FrozenConfigDict(small())
    expected = config.experiment(small())
    assert config.experiment(locked) == config.experiment(frozen) == expected


def test_an_empty_config_is_all_defaults():
    assert config.experiment({}) == Experiment()


def test_whole_numbers_become_floats_where_floats_are_due():
    train = settings.section(Train, {'learning_rate': 1, 'clip_norm': 0}, 'here')
    assert train == Train(learning_rate=1.0, clip_norm=0.0)
    assert type(train.learning_rate) is float and type(train.clip_norm) is float


def test_sequences_become_tuples_and_a_single_value_a_tuple_of_one():
    assert settings.section(Student, {'seeds': [0, 4]}, 'here').seeds == (0, 4)
    assert settings.section(Student, {'seeds': 7}, 'here').seeds == (7,)
    assert settings.section(Logits, {'members': 'cnn'}, 'here').members == ('cnn',)


def test_a_members_own_views_may_be_left_out():
    assert settings.section(Member, {'model': '8'}, 'here').views is None
    assert settings.section(Member, {'views': None}, 'here').views is None
    assert settings.section(Member, {'views': {'shift': 3}}, 'here').views == Views(shift=3)


def test_parts_are_hashable_for_jit():
    for part in (Data(), Views(), Train(), Loss(), Member(), Logits(members=('a',)), Student()):
        twin = dataclasses.replace(part)
        assert twin is not part and hash(twin) == hash(part) and twin == part


@pytest.mark.parametrize(
    ('path', 'words'),
    [
        ('dta', ["config has no setting 'dta'", "'data'"]),
        ('data.trian', ["config.data has no setting 'trian'", "'train'"]),
        ('views.mirorr', ["config.views has no setting 'mirorr'", "'mirror'"]),
        ('members.cnn.modle', ["config.members.cnn has no setting 'modle'", "'model'"]),
        ('members.cnn.train.epohcs', ['config.members.cnn.train has no', "'epochs'"]),
        ('members.cnn.views.sihft', ['config.members.cnn.views has no', "'shift'"]),
        ('students.mimic.loss.scael', ['config.students.mimic.loss has no', "'scale'"]),
        ('logits.ecnn.member', ["config.logits.ecnn has no setting 'member'", "'members'"]),
        ('run.log_step', ["config.run has no setting 'log_step'", "'log_steps'"]),
        ('report.row', ["config.report has no setting 'row'", "'rows'"]),
        ('views.q', ["config.views has no setting 'q'", 'mirror', 'padding', 'seed', 'shift']),
    ],
)
def test_a_misspelt_key_is_refused_with_the_nearest(path, words):
    message = refusal(changed(path, 1))
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ('path', 'value', 'kind'),
    [
        ('data.name', 3, 'str'),
        ('data.train', 2.0, 'int'),
        ('data.train', True, 'int'),
        ('data.seed', '0', 'int'),
        ('views.mirror', 1, 'bool'),
        ('views.mirror', 'yes', 'bool'),
        ('members.cnn.train.learning_rate', '0.1', 'float'),
        ('members.cnn.train.learning_rate', True, 'float'),
        ('members.cnn.train.epochs', None, 'int'),
        ('students.mimic.seeds', (0, '1'), 'int'),
        ('students.mimic.seeds', (0, 1.0), 'int'),
        ('logits.ecnn.members', (1,), 'str'),
        ('data', 3, 'group'),
        ('members', 3, 'group'),
        ('members.cnn', 3, 'group'),
        ('members.cnn.train', 'fast', 'group'),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_name(path, value, kind):
    message = refusal(changed(path, value))
    assert message.startswith(f'config.{path} is ') and kind in message


NAN, INFINITY = float('nan'), float('inf')


@pytest.mark.parametrize(
    ('path', 'bad', 'good'),
    [
        ('data.train', [-1], [0, 1]),
        ('data.validation', [-1], [0, 1]),
        ('data.test', [-1], [0, 1]),
        ('data.seed', [-1, 2**32], [0, 2**32 - 1]),
        ('data.unlabelled', [-2], [-1, 0, 1]),
        ('data.split', ['speaker', ''], ['official', 'speakers', 'fold']),
        ('data.fold', [-1], [0, 3]),
        ('data.folds', [0], [1, 4]),
        ('alignment.rounds', [-1], [0, 2]),
        ('data.preprocess', ['images', ''], ['image', 'feature', 'scale', 'gcn', 'gcn_zca']),
        ('views.seed', [-1, 2**32], [0, 2**32 - 1]),
        ('views.shift', [-1], [0, 4]),
        ('views.padding', ['black'], ['zero', 'reflect']),
        ('members.cnn.seed', [-1, 2**32], [0, 2**32 - 1]),
        ('members.cnn.subset', [0.0, 1.01, -0.5, NAN], [0.01, 1.0]),
        ('members.cnn.views.shift', [-1], [0]),
        ('members.cnn.train.epochs', [0, -1], [1]),
        ('members.cnn.train.batch_size', [0, -1], [1]),
        ('members.cnn.train.learning_rate', [0.0, -1.0, NAN, INFINITY], [1e-9, 10.0]),
        ('members.cnn.train.init_scale', [0.0, -1.0, NAN, INFINITY], [0.5]),
        ('members.cnn.train.input_scale', [0.0, -1.0, NAN, INFINITY], [0.5]),
        ('members.cnn.train.weight_decay', [-1e-9, NAN, INFINITY], [0.0, 0.1]),
        ('members.cnn.train.clip_norm', [-1.0, NAN, INFINITY], [0.0, 0.1]),
        ('members.cnn.train.warmup', [-0.1, 1.0, NAN], [0.0, 0.99]),
        ('members.cnn.train.momentum', [-0.1, 1.0, NAN], [0.0, 0.99]),
        ('members.cnn.train.schedule', ['cosin'], ['cosine', 'constant']),
        ('members.cnn.train.dtype', ['float16'], ['float32', 'bfloat16']),
        ('students.mimic.loss.kind', ['logit'], ['logits', 'kl', 'hinton', 'probabilities']),
        ('students.mimic.loss.scale', [0.0, -1.0, NAN, INFINITY], [0.5, 1.0]),
        ('students.mimic.loss.temperature', [0.0, -1.0, NAN, INFINITY], [0.5, 20.0]),
        ('students.mimic.loss.soft_weight', [-0.1, 1.1, NAN], [0.0, 1.0]),
        ('students.mimic.budget', [-1.0, NAN], [0.0, 1e6]),
        ('students.mimic.seeds', [(), (1, 1), (-1,), (0, 2**32)], [(0,), (0, 2**32 - 1)]),
        ('students.mimic.target', ['logit', ''], ['logits']),
        ('logits.ecnn.members', [()], [('cnn',), ('cnn', 'cnn')]),
        ('logits.ecnn.transfer', [(), ('train', 'test')], [('train',), ('unlabelled', 'train')]),
        ('logits.ecnn.views', [0, -1], [1]),
        ('logits.ecnn.dtype', ['bfloat16', 'float64'], ['float16', 'float32']),
        ('report.rows.mimic.paper', [1.01, 89.0, NAN], [1.0, 0.0, -1.0]),
        ('run.log_steps', [0], [1]),
        ('run.model_axis', [0], [1]),
        ('run.evaluation_batch_size', [0], [1]),
        ('run.steps_per_call', [-1], [0, 1]),
        ('run.placement', ['gpu'], ['auto', 'device', 'host']),
    ],
)
def test_impossible_values_are_refused_by_name_and_possible_ones_are_not(path, bad, good):
    for value in bad:
        assert refusal(changed(path, value)).startswith(f'config.{path} is {value!r}; ')
    for value in good:
        config.experiment(ml_collections.ConfigDict(changed(path, value)))


@pytest.mark.parametrize(
    ('path', 'value', 'words'),
    [
        ('logits.ecnn.members', ('cnn', 'cn'), ['config.logits.ecnn.members', "'cn'", "'cnn'"]),
        ('students.mimic.logits', 'encn', ['config.students.mimic.logits', "'encn'", "'ecnn'"]),
        ('students.mimic.logits', '', ['config.students.mimic.logits', 'ecnn']),
        ('report.ensemble', 'cnn', ['config.report.ensemble', "'cnn'", 'ecnn']),
        ('report.order', ('mimc',), ['config.report.order', "'mimc'", "'mimic'"]),
        ('report.rows.mimic.source', 'mimic', ['config.report.rows.mimic.source', 'members.NAME']),
        ('report.rows.mimic.source', 'data.mimic', ['rows.mimic.source', 'members.NAME']),
        ('report.rows.mimic.source', 'students.mimc', ['rows.mimic.source', "'mimic'"]),
        ('report.rows.mimic.source', 'members.mimic', ['rows.mimic.source', 'config.members']),
        ('members', {}, ['config.logits.ecnn.members', "'cnn'", 'config.members', 'it has none']),
    ],
)
def test_a_name_that_nothing_bears_is_refused(path, value, words):
    message = refusal(changed(path, value))
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ('target', 'kind', 'good'),
    [
        ('labels', 'cross_entropy', True),
        ('logits', 'cross_entropy', False),
        *(('labels', kind, False) for kind in config.LOSSES if kind != 'cross_entropy'),
        *(('logits', kind, True) for kind in config.LOSSES if kind != 'cross_entropy'),
    ],
)
def test_target_and_loss_must_fit(target, kind, good):
    mapping = changed('students.mimic.target', target)
    mapping['students']['mimic']['loss'] = {'kind': kind}
    if good:
        config.experiment(mapping)
    else:
        message = refusal(mapping)
        assert 'config.students.mimic' in message and target in message and kind in message


@pytest.mark.parametrize(
    ('kind', 'expected'),
    [
        ('cross_entropy', {}),
        ('logits', {'scale': 0.25}),
        ('standardised_logits', {'scale': 0.25}),
        ('probabilities', {'scale': 0.25}),
        ('kl', {'temperature': 4.0}),
        ('hinton', {'temperature': 4.0, 'soft_weight': 0.75}),
    ],
)
def test_a_loss_is_named_by_the_settings_it_reads(kind, expected):
    loss = Loss(kind=kind, scale=0.25, temperature=4.0, soft_weight=0.75)
    assert config.loss_as_json(loss) == {'kind': kind, **expected}


def test_every_loss_has_a_case_above():
    assert len(config.LOSSES) == 6


def test_a_run_is_named_as_it_was_before_there_was_an_input_scale():
    named = config.train_as_json(Train(learning_rate=0.02))
    assert named == {
        **{'epochs': 10, 'batch_size': 128, 'learning_rate': 0.02, 'schedule': 'cosine'},
        **{'warmup': 0.0, 'momentum': 0.9, 'weight_decay': 0.0, 'clip_norm': 0.0},
        **{'dtype': 'float32', 'init_scale': 1.0},
    }
    scaled = config.train_as_json(Train(learning_rate=0.02, input_scale=1.25))
    assert scaled == {**named, 'input_scale': 1.25}


def test_as_json_gives_plain_values():
    found = settings.as_json(config.experiment(ml_collections.ConfigDict(small())))
    assert found == json.loads(json.dumps(found)), 'tuples have become lists'
    assert found['logits']['ecnn']['transfer'] == ['train', 'unlabelled']
    assert found['members']['cnn']['views'] is None
    assert found['students']['mimic']['loss']['kind'] == 'logits'
    assert settings.as_json(ml_collections.ConfigDict({'a': {'b': (1, 2)}})) == {'a': {'b': [1, 2]}}


def test_nearest_word():
    assert settings.nearest('trian', ['train', 'test']) == "did you mean 'train'?"
    assert settings.nearest('xyz', ['train', 'test']) == 'known are test, train'
    assert settings.nearest('xyz', []) == 'it has none'
