import dataclasses
import json
from collections.abc import Mapping

import ml_collections
import pytest
from conftest import refusal as refused

from mimic_jax.config import experiment as experiments
from mimic_jax.config import fields, presets, rules
from mimic_jax.config.experiment import Experiment
from mimic_jax.config.fields import entries, named_elsewhere, optional, setting
from mimic_jax.data.settings import Data
from mimic_jax.data.view_settings import OwnViews, Views, own_views
from mimic_jax.errors import UserError
from mimic_jax.mimic.settings import ExternalTeacher, FromStudy, Logits, Member, Student
from mimic_jax.reporting.settings import Report, Row
from mimic_jax.runtime.settings import Run
from mimic_jax.search.settings import Search
from mimic_jax.search.space import Parameter
from mimic_jax.training.loss_settings import LOSSES, Loss
from mimic_jax.training.settings import Train


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
        experiments.read(ml_collections.ConfigDict(mapping))
    message = str(caught.value)
    assert '\n' not in message
    return message


def test_a_config_becomes_typed_parts():
    result = experiments.read(ml_collections.ConfigDict(small()))
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
    expected = experiments.read(small())
    assert experiments.read(locked) == experiments.read(frozen) == expected


def test_an_empty_config_is_all_defaults():
    assert experiments.read({}) == Experiment()


def test_whole_numbers_become_floats_where_floats_are_due():
    train = fields.section(Train, {'learning_rate': 1, 'clip_norm': 0}, 'here')
    assert train == Train(learning_rate=1.0, clip_norm=0.0)
    assert type(train.learning_rate) is float and type(train.clip_norm) is float


def test_sequences_become_tuples_and_a_single_value_a_tuple_of_one():
    assert fields.section(Student, {'seeds': [0, 4]}, 'here').seeds == (0, 4)
    assert fields.section(Student, {'seeds': 7}, 'here').seeds == (7,)
    assert fields.section(Logits, {'members': 'cnn'}, 'here').members == ('cnn',)


def test_a_members_own_views_may_be_left_out():
    assert fields.section(Member, {'model': '8'}, 'here').views == OwnViews()
    assert fields.section(Member, {'views': {}}, 'here').views == OwnViews()
    assert set(dataclasses.asdict(OwnViews()).values()) == {None}
    assert fields.section(Member, {'views': {'shift': 3}}, 'here').views == OwnViews(shift=3)
    message = refused(fields.section, Member, {'views': None}, 'here')
    assert message == 'here.views is None; it must be a group of settings'


def test_a_members_views_are_those_of_all_but_for_its_own():
    common = Views(seed=4, mirror=True, shift=1, padding='reflect', hue=0.25)
    drawn = Views(mirror=True, shift=1, padding='reflect', hue=0.25)
    assert own_views(OwnViews(), common) == drawn, 'the seed is the net’s own'
    own = fields.section(OwnViews, {'shift': 3, 'mirror': False, 'hue': 0}, 'here')
    assert own_views(own, common) == Views(shift=3, padding='reflect')
    none = fields.section(OwnViews, {'shift': None}, 'here')
    assert own_views(none, common) == drawn, 'None is: as elsewhere'


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
        ('members.cnn.views.seed', ["config.members.cnn.views has no setting 'seed'"]),
        ('search.trails', ["config.search has no setting 'trails'", "'trials'"]),
        ('logits.ecnn.source.pth', ['config.logits.ecnn.source has no', "'path'"]),
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
        ('members.cnn.views', None, 'group'),
        ('members.cnn.views.shift', 1.5, 'int'),
        ('members.cnn.from_study', None, 'group'),
        ('search', None, 'group'),
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
        ('members.cnn.train.schedule', ['cosin'], ['cosine', 'constant', 'trapezoid']),
        ('members.cnn.train.optimizer', ['adam', ''], ['sgd', 'adamw', 'muon']),
        ('members.cnn.train.average', ['swa'], ['none', 'ema', 'lookahead']),
        ('members.cnn.train.label_smoothing', [-0.1, 1.0, NAN], [0.0, 0.2]),
        ('members.cnn.train.cooldown', [-0.1, 1.0, NAN], [0.0, 0.9]),
        ('members.cnn.train.cuts', [(), (0.5, 0.5), (0.6, 0.3), (0.0,), (1.0,)], [(0.3, 0.9)]),
        ('members.cnn.train.final_rate', [-0.1, 1.1, NAN], [0.0, 1.0]),
        ('members.cnn.train.muon_steps', [0, 101], [1, 5]),
        ('members.cnn.train.lookahead_period', [0], [1]),
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
        experiments.read(ml_collections.ConfigDict(changed(path, value)))


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
        *(('labels', kind, False) for kind in LOSSES if kind != 'cross_entropy'),
        *(('logits', kind, True) for kind in LOSSES if kind != 'cross_entropy'),
    ],
)
def test_target_and_loss_must_fit(target, kind, good):
    mapping = changed('students.mimic.target', target)
    mapping['students']['mimic']['loss'] = {'kind': kind}
    if good:
        experiments.read(mapping)
    else:
        message = refusal(mapping)
        assert 'config.students.mimic' in message and target in message and kind in message


@pytest.mark.parametrize(
    ('kind', 'expected'),
    [
        ('cross_entropy', {}),  # the default, which goes without saying
        ('teacher_labels', {'kind': 'teacher_labels'}),
        ('logits', {'kind': 'logits', 'scale': 0.25}),
        ('standardised_logits', {'kind': 'standardised_logits', 'scale': 0.25}),
        ('probabilities', {'kind': 'probabilities', 'scale': 0.25}),
        ('kl', {'kind': 'kl', 'temperature': 4.0}),
        ('hinton', {'kind': 'hinton', 'temperature': 4.0, 'soft_weight': 0.75}),
        ('z_scores', {'kind': 'z_scores', 'temperature': 4.0}),
        ('dkd', {'kind': 'dkd', 'temperature': 4.0, 'target_weight': 2.0}),
        ('dist', {'kind': 'dist', 'temperature': 4.0, 'class_weight': 3.0}),
    ],
)
def test_a_loss_is_named_by_the_settings_it_reads(kind, expected):
    loss = Loss(kind=kind, scale=0.25, temperature=4.0, soft_weight=0.75)
    loss = dataclasses.replace(loss, target_weight=2.0, class_weight=3.0, own='a:b')
    assert fields.differing(loss) == expected


def test_every_loss_has_a_case_above():
    assert len(LOSSES) == 10


def test_a_run_is_named_as_it_was_before_there_was_an_input_scale():
    named = fields.differing(Train(learning_rate=0.02))
    assert named == {'learning_rate': 0.02}
    scaled = fields.differing(Train(learning_rate=0.02, input_scale=1.25))
    assert scaled == {**named, 'input_scale': 1.25}


def test_groups_of_parameters_are_named_by_what_differs():
    """A setting that groups get later renames no net that has groups."""
    mapping = changed('members.cnn.train.groups', {'head': {'parameters': '^output', 'rate': 2}})
    train = experiments.read(ml_collections.ConfigDict(mapping)).members['cnn'].train
    assert fields.differing(train)['groups'] == {'head': {'parameters': '^output', 'rate': 2.0}}
    assert hash(train) == hash(experiments.read(mapping).members['cnn'].train)
    mapping['members']['cnn']['train']['groups']['head']['parameters'] = '(bias'
    assert refusal(mapping).startswith(
        "config.members.cnn.train.groups.head.parameters is '(bias'; it must be a regular expression"
    )


def test_as_json_gives_plain_values():
    found = fields.as_json(experiments.read(ml_collections.ConfigDict(small())))
    assert found == json.loads(json.dumps(found)), 'tuples have become lists'
    assert found['logits']['ecnn']['transfer'] == ['train', 'unlabelled']
    assert found['members']['cnn']['views']['shift'] is None
    assert found['members']['cnn']['from_study'] == {
        **{'rank': 0, 'study': '', 'storage': '', 'choice': 'best'}
    }
    assert found['students']['mimic']['loss']['kind'] == 'logits'
    assert fields.as_json(ml_collections.ConfigDict({'a': {'b': (1, 2)}})) == {'a': {'b': [1, 2]}}


def test_nearest_word():
    assert fields.nearest('trian', ['train', 'test']) == "did you mean 'train'?"
    assert fields.nearest('xyz', ['train', 'test']) == 'known are test, train'
    assert fields.nearest('xyz', []) == 'it has none'


# The machinery, on groups of its own.


@dataclasses.dataclass(frozen=True)
class Inner:
    """A group in a group."""

    rate: float = setting(0.5, 'A float.', rules.POSITIVE)
    sizes: tuple[int, ...] = setting((1, 2), 'A tuple.')


Loose = optional(Inner, 'Loose', 'Inner, or as elsewhere.')


@dataclasses.dataclass(frozen=True)
class Entry:
    """A group that has a name of its own, and a setting without a default."""

    low: float = dataclasses.field(metadata={'meaning': 'Required.'})
    high: float = setting(1.0, 'Not required.')


@dataclasses.dataclass(frozen=True)
class Outer:
    """One of everything."""

    kind: str = setting('plain', 'A word.', choices=('plain', 'fancy'))
    count: int = setting(3, 'A whole number.', read=rules.kinds('fancy'))
    label: str = setting('', 'Names nothing.', names=False)
    most: int | None = setting(None, 'May be left out.')
    inner: Inner = Inner()
    loose: Loose = Loose()  # noqa: RUF009
    apart: Inner = named_elsewhere(Inner())  # noqa: RUF009
    named: Mapping[str, Entry] = entries('By name.')
    words: Mapping[str, str] = entries('Texts by name.')


WHOLE = {
    'kind': 'plain',
    'count': 3,
    'label': '',
    'most': None,
    'inner': {'rate': 0.5, 'sizes': (1, 2)},
    'loose': {'rate': None, 'sizes': None},
    'apart': {'rate': 0.5, 'sizes': (1, 2)},
    'named': {},
    'words': {},
}


def completed(mapping, cls=Outer):
    result = ml_collections.ConfigDict(mapping)
    presets.complete(cls, result)
    return result


def test_a_completed_config_has_every_setting():
    assert completed({}).to_dict() == WHOLE
    found = completed({'inner': {'rate': 2.0}, 'named': {'a': {'low': 0.0}}, 'words': {'b': 'c'}})
    assert found.to_dict() == {
        **WHOLE,
        'inner': {'rate': 2.0, 'sizes': (1, 2)},
        'named': {'a': {'low': 0.0, 'high': 1.0}},
        'words': {'b': 'c'},
    }


def test_completing_again_changes_nothing():
    found = completed({'loose': {'rate': 2.0}, 'named': {'a': {'low': 0.0}}})
    before = found.to_dict()
    presets.complete(Outer, found)
    assert found.to_dict() == before
    assert fields.section(Outer, found, 'config') == fields.section(Outer, before, 'config')


def test_a_completed_config_reads_as_what_it_was_made_of():
    assert fields.section(Outer, completed({}), 'config') == Outer()
    given = {'kind': 'fancy', 'loose': {'sizes': (4,)}, 'named': {'a': {'low': 0.0}}}
    assert fields.section(Outer, completed(given), 'config') == fields.section(
        Outer, given, 'config'
    )
    whole = experiments.read(presets.build(small()))
    assert whole == experiments.read(small())


def test_every_setting_of_an_experiment_is_there_when_completed():
    found = presets.build(small())

    def check(cls, config, where):
        names = {field.name for field in dataclasses.fields(cls)}
        assert set(config) == names, where
        default = cls()
        for name in names:
            value = getattr(default, name)
            if dataclasses.is_dataclass(value):
                check(type(value), config[name], f'{where}.{name}')

    check(Experiment, found, 'config')
    check(Member, found.members.cnn, 'config.members.cnn')
    check(Logits, found.logits.ecnn, 'config.logits.ecnn')
    check(Student, found.students.mimic, 'config.students.mimic')
    check(Row, found.report.rows.mimic, 'config.report.rows.mimic')
    assert found.search.space.to_dict() == {} and found.search.member.train.epochs == 40


def test_completed_values_have_their_settings_type():
    """Flags have it too: --config.inner.rate=2 is a float, --config.most=2.5 is refused."""
    found = completed({'inner': {'rate': 1, 'sizes': [7]}, 'loose': {'rate': 3}, 'most': 5})
    assert type(found.inner.rate) is float and found.inner.rate == 1.0
    assert type(found.loose.rate) is float and found.loose.rate == 3.0
    assert type(found.inner.sizes) is tuple and found.inner.sizes == (7,)
    assert found.most == 5
    kinds = {'most': int, 'count': int, 'kind': str}
    assert {name: found.get_type(name) for name in kinds} == kinds
    for part, name, kind, more in [
        (found.inner, 'rate', float, 0.25),
        (found.loose, 'rate', float, 0.25),
        (found.inner, 'sizes', tuple, (8, 9)),
    ]:
        assert part.get_type(name) is kind
        part[name] = more
        assert part[name] == more
    for name, value in [('most', 2.5), ('count', 'two'), ('kind', 1)]:
        with pytest.raises(TypeError):
            found[name] = value


def test_what_may_be_left_out_is_a_placeholder_of_its_type():
    found = completed({})
    assert found.loose.rate is None and found.most is None
    assert found.loose.get_type('rate') is float and found.loose.get_type('sizes') is tuple
    assert found.get_type('most') is int
    found.most = 4
    found.loose.sizes = (1,)
    with pytest.raises(TypeError):
        found.loose.rate = 'fast'
    assert fields.section(Outer, found, 'config') == Outer(most=4, loose=Loose(sizes=(1,)))


def test_a_members_views_are_placeholders():
    views = presets.build(small()).members.cnn.views
    kinds = {
        **{'mirror': bool, 'shift': int, 'padding': str, 'crop': int, 'hue': float},
        **{'saturation': float, 'value': float, 'saturation_scale': float, 'value_scale': float},
        **{'alternate': bool, 'brightness': float, 'contrast': float, 'area': float},
        **{'cutout': int, 'mixup': float, 'cutmix': float, 'own': str, 'own_version': str},
    }
    assert {name: views.get_type(name) for name in views} == kinds
    assert {views[name] for name in views} == {None}
    views.shift = 2
    with pytest.raises(TypeError):
        views.mirror = 'yes'


@pytest.mark.parametrize(
    ('mapping', 'message'),
    [
        ({'cuont': 4}, "config has no setting 'cuont'; did you mean 'count'?"),
        ({'inner': {'rte': 1.0}}, "config.inner has no setting 'rte'; did you mean 'rate'?"),
        ({'loose': {'siz': 1}}, "config.loose has no setting 'siz'; did you mean 'sizes'?"),
        (
            {'named': {'a': {'low': 0.0, 'hihg': 1.0}}},
            "config.named.a has no setting 'hihg'; did you mean 'high'?",
        ),
        ({'inner': {'q': 1}}, "config.inner has no setting 'q'; known are rate, sizes"),
        ({'inner': 3}, 'config.inner is 3; it must be a group of settings'),
        ({'named': 3}, 'config.named is 3; it must be a group of named entries'),
        ({'named': {'a': 3}}, 'config.named.a is 3; it must be a group of settings'),
        ({'named': {'a': {'high': 2.0}}}, 'config.named.a has no low; set it'),
        ({'count': 2.5}, 'config.count is 2.5; it must be of type int'),
        ({'count': {'a': 1}}, "config.count is {'a': 1}; it must be of type int"),
        ({'loose': {'rate': 'fast'}}, "config.loose.rate is 'fast'; it must be of type float"),
    ],
)
def test_what_cannot_be_completed_cannot_be_read_either(mapping, message):
    assert refused(presets.complete, Outer, ml_collections.ConfigDict(mapping)) == message
    assert refused(fields.section, Outer, mapping, 'config') == message


def test_a_parameter_of_a_search_needs_both_ends():
    for lacking, given in [('low', {'high': 1.0}), ('high', {'low': 0.0})]:
        config = {'search': {'space': {'rate': given}}}
        expected = f'config.search.space.rate has no {lacking}; set it'
        assert refused(experiments.read, config) == expected
        assert refused(presets.build, config) == expected
    whole = presets.build({'search': {'space': {'rate': {'low': 0, 'high': 1}}}})
    assert whole.search.space.rate.to_dict() == {
        **{'low': 0.0, 'high': 1.0, 'log': False, 'int': False}
    }
    assert experiments.read(whole).search.space == {'rate': Parameter(0.0, 1.0)}


def test_an_optional_group_has_the_settings_of_the_other_with_none_for_each():
    assert [field.name for field in dataclasses.fields(Loose)] == ['rate', 'sizes']
    assert Loose() == Loose(rate=None, sizes=None) and hash(Loose()) == hash(Loose())
    assert Loose.__doc__ == 'Inner, or as elsewhere.' and Loose.__name__ == 'Loose'
    with pytest.raises(dataclasses.FrozenInstanceError):
        Loose().rate = 1.0
    message = refused(fields.section, Loose, {'rate': -1.0}, 'here')
    assert message == 'here.rate is -1.0; it must be a finite number above 0'
    message = refused(fields.section, OwnViews, {'padding': 'black'}, 'here')
    assert message.startswith("here.padding is 'black'; ")
    assert [f.name for f in dataclasses.fields(optional(Inner, 'Part', '', ('rate',)))] == ['sizes']


def test_an_optional_group_is_filled_from_elsewhere():
    elsewhere = Inner(rate=0.125, sizes=(8, 9))
    assert fields.filled(Loose(), elsewhere) == elsewhere
    assert fields.filled(Loose(rate=2.0), elsewhere) == Inner(rate=2.0, sizes=(8, 9))
    assert fields.filled(Loose(sizes=()), elsewhere) == Inner(rate=0.125, sizes=())


@pytest.mark.parametrize(
    ('group', 'expected'),
    [
        (Outer(), {}),
        (Outer(kind='fancy'), {'kind': 'fancy'}),
        (Outer(count=4), {}),  # which 'plain' does not read
        (Outer(kind='fancy', count=4), {'kind': 'fancy', 'count': 4}),
        (Outer(kind='fancy', count=3), {'kind': 'fancy'}),
        (Outer(label='x', apart=Inner(rate=2.0)), {}),  # they name nothing
        (Outer(most=0), {'most': 0}),
        (Outer(inner=Inner(sizes=(3,))), {'inner': {'sizes': [3]}}),
        (Outer(inner=Inner(rate=0.5)), {}),
        (Outer(loose=Loose(rate=0.5)), {'loose': {'rate': 0.5}}),
        (Outer(words={'b': 'c'}), {'words': {'b': 'c'}}),
        (
            Outer(named={'a': Entry(low=0.0)}),
            {'named': {'a': {'low': 0.0}}},
        ),
        (Entry(low=1.0), {'low': 1.0}),  # what has no default always differs
    ],
)
def test_what_differs_from_the_defaults(group, expected):
    found = fields.differing(group)
    assert found == expected
    assert json.loads(json.dumps(found)) == found, 'JSON values'


def test_what_names_a_net():
    """A member's views do not: the plan adds them whole. Nor does what a student is solved or read from."""
    member = Member(
        model='8c3', views=OwnViews(shift=2), from_study=FromStudy(rank=1), train=Train(epochs=2)
    )
    assert fields.differing(member) == {'model': '8c3', 'train': {'epochs': 2}}
    student = Student(
        **{'model': '8L-9', 'budget': 900.0, 'target': 'logits', 'logits': 'ecnn', 'seeds': (1, 2)},
        loss=Loss(kind='kl', scale=3.0),
    )
    expected = {'model': '8L-9', 'target': 'logits', 'loss': {'kind': 'kl'}}
    assert fields.differing(student) == expected
    cache = Logits(members=('a',), source=ExternalTeacher(path=('x.npy',)), views=3)
    assert fields.differing(cache) == {'views': 3}


def test_what_is_set_and_not_read_is_told_with_when_it_is():
    assert list(fields.unread(Outer(kind='fancy', count=4))) == []
    assert list(fields.unread(Outer(count=3))) == [], 'the default was not set'
    assert list(fields.unread(Outer(count=4))) == [
        "config.count is 4 and is not used: it is read where kind is 'fancy'"
    ]


def test_what_is_not_read_is_told_of_groups_and_entries_by_their_path():
    settings = small()
    settings['students']['mimic']['loss']['temperature'] = 4.0
    settings['students']['labels']['logits'] = 'ecnn'
    settings['views'] = {'padding': 'reflect'}
    settings['members']['cnn']['views'] = {'padding': 'reflect'}  # config.views may shift
    settings['data'] = {'transfer': {'swap': 0.25}, 'folds': 5}
    settings['search'] = {'trials': 9}
    assert list(fields.unread(experiments.read(settings))) == [
        "config.data.transfer.swap is 0.25 and is not used: it is read where kind is 'munge'",
        "config.data.folds is 5 and is not used: it is read where split is 'fold'",
        "config.views.padding is 'reflect' and is not used: it is read where shift is above 0",
        'config.search.trials is 9 and is not used: it is read where space has parameters',
        "config.students.labels.logits is 'ecnn' and is not used: it is read where target is "
        "'logits'",
        'config.students.mimic.loss.temperature is 4.0 and is not used: it is read where kind is '
        "'kl', 'hinton', 'z_scores', 'dkd' or 'dist'",
    ]
    assert list(fields.unread(experiments.read(small()))) == []
    assert list(fields.unread(Experiment())) == []


def test_a_search_is_on_where_it_has_a_space():
    space = {'rate': Parameter(0.0, 1.0)}
    assert Search().kind == '' and Search(student=Student(model='8L-9')).kind == ''
    assert Search(space=space).kind == 'member'
    assert Search(space=space, student=Student(model='8L-9')).kind == 'student'


def test_a_preset_changes_a_whole_config_and_may_leave_settings_out():
    def short(config):
        assert config.students.labels.train.epochs == 40
        config.students.labels.train.epochs = 2
        config.members.more = {'model': '9c3'}

    def narrow(config):
        config.members.more.model = '2c3'

    known = {'short': short, 'narrow': narrow}
    settings = {**small(), 'presets': ('short takes a minute',)}
    assert presets.build(settings, known).presets == ('short takes a minute',)
    found = presets.build(settings, known, 'short,narrow')
    assert found.members.more.model == '2c3' and found.members.more.train.momentum == 0.9
    assert found.students.labels.train.epochs == 2 and found.presets == ()
    message = refused(presets.build, settings, known, 'short,narow')
    assert message == "unknown preset 'narow'; this file has short, narrow"
    assert refused(presets.build, settings, None, 'short').endswith('this file has none')


def test_presets_that_exclude_each_other():
    assert presets.one_of(['small', 'a'], ('a', 'b'), 'b') == 'a'
    assert presets.one_of(['small'], ('a', 'b'), 'b') == 'b'
    message = refused(presets.one_of, ['a', 'b'], ('a', 'b'), 'b')
    assert message == 'presets a and b exclude each other; name one'


def test_rows_of_a_report_stand_in_the_order_they_are_given_in():
    rows = {'z': presets.row('members.cnn', 'zed'), 'a': presets.row('members.cnn', 'a', 0.5)}
    found = presets.build({**small(), 'report': presets.report('ecnn', rows, by_time=True)})
    assert found.report.order == ('z', 'a') and found.report.by_time
    assert (found.report.rows.z.paper, found.report.rows.a.paper) == (-1.0, 0.5)
    presets.add_row(found, 'b', 'students.labels', 'last', note='late')
    report = experiments.read(found).report
    assert report.order == ('z', 'a', 'b')
    assert report.rows['b'] == Row(source='students.labels', label='last', note='late')
