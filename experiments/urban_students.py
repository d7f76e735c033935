"""CIFAR-10: Urban et al.'s students by depth and number of parameters, their Table 2 and Figure 1.

    python -m mimic_jax.main --config=experiments/urban_students.py          # wants many GPUs or TPUs
    python -m mimic_jax.main --config=experiments/urban_students.py:small    # about an hour on 2 cores
    python -m mimic_jax.main --config=experiments/urban_students.py:smoke    # minutes, a first look

Nets of 1 to 5 hidden layers and of 1 to 4 convolutions, with 1, 3.16, 10 and 31.6 million parameters,
mimic the ensemble that urban_teachers.py finds (run it first, in the same workdir, with the same
preset); five of them are trained on labels as well. report.md has the paper's Table 2, curves.png is
its Figure 1. A stopped run goes on net by net with the same command. The paper's own size has not
been run; its figures stand in the table. Other presets go with the sizes, as in `:hinton,small`:

- `:regularised`: convolutional students with weight decay, and with dropout, beside the plain ones.
- `:hinton`: one net with squared error on logits beside Hinton's temperatures and soft weights.
- `:searched`: each net as urban_student_search.py found it, in place of the widths and rates below.
- `:greedy`: taught by the members that a greedy choice on validation takes, not by the best.
- `:1M`, `:3M16`, `:10M` and `:31M6`, of `:small` `:100k` and `:320k`: one budget's nets.
- `:mlp_1`, `:mlp_2`, `:mlp_3`, `:mlp_4`, `:mlp_5`, `:conv_1`, `:conv_2`, `:conv_3` and `:conv_4`: one
  family's.

As in the paper: squared error on raw logits without the ½, no weight decay, no dropout, 160 views of
the 40,000 training images that all students see in the same order, a linear bottleneck with no or one
convolution, 5×5 convolutions, 2×2 pools (3×3 after the only convolution), one width of each net solved
from the budget. The paper's cells are the best of a search each; here widths stand inside the ranges that
it searched for students, on labels as well, nets of several hidden layers have equal widths, and all
share one rate and momentum from inside its ranges. Not in the paper, chosen here: batches of 128, at most
480 epochs, a decay of 2e-4 (that of its nets on labels), dropout of .2 after pools and .4 after the hidden
layer, and under Hinton's loss the rate of the nets on labels: nobody tuned them.

`:small` is another setting: 8,000 images, the ensemble of 4 of urban_teachers.py:small, 24 views, 100
and 320 thousand parameters, no to three convolutions, two seeds, the larger nets on labels beside, with
the same settings. Rate and clipping are those that trials for cifar_student.py:small favoured. Dense
nets train for 96 epochs: on validation the larger has 48.7% after 24, 51.9 after 96; on labels 50.6 and
50.2. The cache took 5 minutes of one core and the 24 nets 25; `:regularised,small` and `:hinton,small`
take a quarter of an hour each beside it.
"""

import ml_collections

ENSEMBLE = 16
BUDGETS = {'1M': 1e6, '3M16': 3.16e6, '10M': 10e6, '31M6': 31.6e6}
# Of each family: what the paper calls it, nets by budget, the paper's accuracies.
FAMILIES = {
    'mlp_1': (
        'bottleneck + 1 hidden',
        ('?L-2k', '?L-5k', '?L-12k', '?L-20k'),
        (0.658, 0.682, 0.695, 0.702),
    ),
    'mlp_2': ('2 hidden', ('?-?',) * 4, (0.662, 0.709, 0.734, 0.743)),
    'mlp_3': ('3 hidden', ('?-?-?',) * 4, (0.668, 0.710, 0.730, 0.739)),
    'mlp_4': ('4 hidden', ('?-?-?-?',) * 4, (0.667, 0.695, 0.716, 0.720)),
    'mlp_5': ('5 hidden', ('?-?-?-?-?',) * 4, (0.664, 0.700, 0.714, 0.715)),
    'conv_1': (
        '1 conv, 1 mp, bottleneck',
        ('80c5-p3-?L-1k', '150c5-p3-?L-2k', '250c5-p3-?L-4k', '400c5-p3-?L-4k'),
        (0.845, 0.863, 0.873, 0.877),
    ),
    'conv_2': (
        '2 conv, 2 mp',
        (
            *('60c5-p2-60c5-p2-?', '120c5-p2-100c5-p2-?'),
            *('200c5-p2-110c5-p2-?', '400c5-p2-120c5-p2-?'),
        ),
        (0.879, 0.893, 0.900, 0.903),
    ),
    'conv_3': (
        '3 conv, 3 mp',
        tuple(f'{width}c5-p2-{width}c5-p2-{width}c5-p2-?' for width in (70, 110, 190, 350)),
        (0.907, 0.916, 0.919, 0.923),
    ),
    'conv_4': (
        '4 conv, 3 mp',
        tuple(
            f'{first}c5-p2-{first}c5-{second}c5-p2-{second}c5-p2-?'
            for first, second in ((50, 60), (90, 110), (150, 190), (270, 340))
        ),
        (0.913, 0.918, 0.926, 0.926),
    ),
}
# On labels, at 10 million: nets with dropout, and the paper's accuracies.
ON_LABELS = {
    'mlp_1': ('?L-12k-d.4', 0.668),
    'conv_1': ('250c5-p3-d.2-?L-4k-d.4', 0.846),
    'conv_2': ('200c5-p2-d.2-110c5-p2-d.35-?-d.4', 0.889),
    'conv_3': ('190c5-p2-d.2-190c5-p2-d.35-190c5-p2-d.4-?-d.4', 0.912),
    'conv_4': ('150c5-p2-d.2-150c5-190c5-p2-d.35-190c5-p2-d.4-?-d.4', 0.9175),
}
# Of :small, nets by budget.
SMALL_BUDGETS = {'100k': 100e3, '320k': 320e3}
SMALL_FAMILIES = {
    'mlp_1': ('?L-500', '?L-1k'),
    'conv_1': ('8c5-p3-?L-200', '12c5-p3-?L-400'),
    'conv_2': ('12c5-p2-16c5-p2-?', '12c5-p2-24c5-p2-?'),
    'conv_3': ('12c5-p2-16c5-p2-24c5-p2-?', '16c5-p2-24c5-p2-32c5-p2-?'),
}
LABELLED = ('10M', '320k')  # the budgets of the nets on labels
# Temperature and soft weight of each row under Hinton's loss.
HINTON = {
    **{f'temperature_{number}': (float(number), 0.9) for number in (1, 2, 4, 8)},
    'soft_alone': (4.0, 1.0),
    'half_soft': (4.0, 0.5),
}


def get_config(arg=''):
    chosen = [preset for preset in arg.split(',') if preset]
    for preset in chosen:
        if preset not in CHANGES:
            raise ValueError(f'unknown preset {preset!r}; this file has {", ".join(CHANGES)}')
    config = whole()
    for preset in sorted(chosen, key=list(CHANGES).index):  # sizes come first
        CHANGES[preset](config)
    return config


def whole():
    config = ml_collections.ConfigDict()
    config.presets = {
        'small': 'takes about an hour on 2 CPU cores',
        'smoke': 'takes some minutes',
    }
    config.data = {
        'name': 'cifar10',
        'root': '',  # of TFDS; empty: $TFDS_DATA_DIR or ~/tensorflow_datasets
        'train': 40000,
        'validation': 10000,
        'test': 0,  # all 10,000 of the test split
        'unlabelled': -1,
        'seed': 0,
        'preprocess': 'image',
        'transfer': {'kind': 'none', 'root': '', 'name': '', 'split': 'train', 'limit': 0},
    }
    config.views = {
        'seed': 0,
        'mirror': True,
        'shift': 0,
        'padding': 'zero',
        'crop': 24,
        'hue': 0.06,
        'saturation': 0.26,
        'value': 0.20,
        'saturation_scale': 0.21,
        'value_scale': 0.13,
    }
    config.run = {
        'log_steps': 50,
        'evaluation_steps': 1,
        'checkpoint_steps': 1,
        'steps_per_call': 0,
        'model_axis': 1,
        'placement': 'auto',
        'evaluation_batch_size': 500,
    }
    teach(config, study='urban_teachers', ensemble=ENSEMBLE, views=160, paper=0.938)
    for family, (label, models, figures) in FAMILIES.items():
        for budget, model, paper in zip(BUDGETS, models, figures, strict=True):
            name, words = f'{family}_{budget}', f'{label}, {written(budget)}'
            settings = train(epochs=480)
            add(config, name, words, student(model, BUDGETS[budget], settings), label, paper)
    for family, (model, paper) in ON_LABELS.items():
        label, settings = FAMILIES[family][0], train(learning_rate=0.006, weight_decay=2e-4)
        net = student(model, BUDGETS['10M'], settings, target='labels')
        words = f'{label}, 10M, on labels'
        add(config, f'{family}_labels', words, net, f'{label}, on labels', paper)
    mark_gaps(config, tuple(f'mlp_{depth}_10M' for depth in range(1, 6)), '10M')
    return config


def small(config):
    """8,000 images, 24 views, small budgets, two seeds: the table in about an hour on 2 cores."""
    config.presets = {'smoke': 'takes some minutes'}
    config.data.train = 8000
    config.data.validation = 5000
    teach(config, study='urban_teachers_small', ensemble=4, views=24)
    settings = train(
        epochs=24, batch_size=64, learning_rate=0.1, schedule='cosine', warmup=0.05, clip_norm=1.0
    )
    both(config, SMALL_FAMILIES, settings, seeds=(0, 1))
    for name in ('mlp_1_100k', 'mlp_1_320k', 'mlp_1_labels'):
        config.students[name].train.epochs = 96  # cheap nets, which 24 leave far from fitted
    config.run.evaluation_steps = 500
    config.run.checkpoint_steps = 500


def smoke(config):
    """1,000 images, 4 views, two families, one seed: every phase on real images, in minutes."""
    config.presets = {}
    config.data.train = 1000
    config.data.validation = 500
    config.data.test = 1000
    config.data.unlabelled = 1000
    teach(config, study='urban_teachers_smoke', ensemble=2, views=4)
    settings = train(
        epochs=4, batch_size=50, learning_rate=0.03, schedule='cosine', warmup=0.05, clip_norm=1.0
    )
    families = {name: SMALL_FAMILIES[name] for name in ('mlp_1', 'conv_1')}
    both(config, families, settings, seeds=(0,))


def greedy(config):
    """The ensemble's members by greedy choice on the validation split."""
    for member in config.members.values():
        member.from_study.choice = 'greedy'


def searched(config):
    """Every net is the best of its own study by validation accuracy."""
    teachers = config.members.best_01.from_study
    size, storage = teachers.study.removeprefix('urban_teachers'), teachers.get_ref('storage')
    for name in config.students:
        study = {'study': f'urban_student{size}_{name}', 'storage': storage, 'rank': 1}
        config.students[name] = {'from_study': study}


def regularised(config):
    """The convolutional nets of one budget: plain, with weight decay, with dropout."""
    nets = of_one_budget(config, 'regularised', [name for name in FAMILIES if 'conv' in name])
    clear(config)
    for name, (label, net) in nets.items():
        decayed, dropped = (net.copy_and_resolve_references() for _ in range(2))
        decayed.train.weight_decay = 2e-4
        dropped.model = with_dropout(net.model)
        add(config, name, label, net)
        add(config, f'{name}_decay', f'{label}, weight decay', decayed)
        add(config, f'{name}_dropout', f'{label}, dropout', dropped)


def hinton(config):
    """The net of one convolution under several losses, at one budget."""
    ((name, (label, net)),) = of_one_budget(config, 'hinton', ['conv_1']).items()
    on_labels = config.students.conv_1_labels
    clear(config)
    config.report.x_label = 'temperature'
    add(config, name, f'{label}, squared error on logits', net)
    for mix, (temperature, soft) in HINTON.items():
        mixed = net.copy_and_resolve_references()
        mixed.loss.update({'kind': 'hinton', 'temperature': temperature, 'soft_weight': soft})
        mixed.train.learning_rate = on_labels.train.learning_rate  # it too is a cross entropy
        words = f'{label}, temperature {temperature:g}, {soft:g} soft'
        curve = f'{soft:g} soft' if soft == 0.9 else ''
        add(config, f'{name}_{mix}', words, mixed, curve, x=temperature)
    add(config, 'conv_1_labels', f'{label}, on labels', on_labels)


def of_budget(budget):
    """A preset that keeps the students of one budget."""

    def preset(config):
        kept = [name for name in config.students if name.endswith(f'_{budget}')]
        if kept and budget in LABELLED:
            kept += [name for name in config.students if name.endswith('_labels')]
        keep(config, budget, kept)

    return preset


def of_family(family):
    """A preset that keeps the students of one family, those on labels among them."""

    def preset(config):
        keep(config, family, [name for name in config.students if name.startswith(f'{family}_')])

    return preset


CHANGES = {
    **{'small': small, 'smoke': smoke},
    **{budget: of_budget(budget) for budget in (*BUDGETS, *SMALL_BUDGETS)},
    **{family: of_family(family) for family in FAMILIES},
    **{'greedy': greedy, 'searched': searched, 'regularised': regularised, 'hinton': hinton},
}
PRESETS = (
    *(preset for preset in CHANGES if preset not in SMALL_BUDGETS),
    *(f'{preset},small' for preset in (*SMALL_BUDGETS, 'searched', 'regularised', 'hinton')),
)


def keep(config, preset, kept):
    """The students of these names alone, and their rows."""
    if not kept:
        raise ValueError(f'preset {preset!r} leaves no student beside the others named with it')
    for name in set(config.students) - set(kept):
        del config.students[name]
        del config.report.rows[name]
    rows = config.report.rows
    config.report.order = tuple(name for name in config.report.order if name in rows)
    config.report.gaps = {
        name: gap
        for name, gap in config.report.gaps.items()
        if all(row in rows for row in (*gap.low, *gap.high))
    }


def teach(config, study, ensemble, views, paper=-1.0):
    """An ensemble of a study's best members, its cache, and a report with no other row yet.

    One member's study or storage is all of theirs: a flag that changes it changes it everywhere.
    """
    shared = {
        'study': ml_collections.FieldReference(study),
        'storage': ml_collections.FieldReference(''),
    }
    names = tuple(f'best_{rank:02}' for rank in range(1, ensemble + 1))
    config.members = {
        name: {'from_study': {**shared, 'rank': rank, 'choice': 'best'}}
        for rank, name in enumerate(names, 1)
    }
    config.logits = {
        'ensemble': {
            'members': names,
            'transfer': ('train',),
            'limit': 0,
            'views': views,
            'dtype': 'float16',
        }
    }
    config.students = {}
    config.report = {
        'ensemble': 'ensemble',
        'order': (),
        'rows': {},
        'x_label': 'parameters',
        'gaps': {},
        'grid': True,
    }
    add_row(config, 'ensemble', f'ensemble of {ensemble}', 'logits', paper=paper)


def both(config, families, settings, seeds):
    """Small nets of each family and budget on logits, and of the largest budget on labels too."""
    largest = list(SMALL_BUDGETS)[-1]
    for family, models in families.items():
        label = FAMILIES[family][0]
        for (budget, parameters), model in zip(SMALL_BUDGETS.items(), models, strict=True):
            words = f'{label}, {budget}'
            net = student(model, parameters, settings, seeds=seeds)
            add(config, f'{family}_{budget}', words, net, label)
            if budget == largest:
                words, curve = f'{words}, on labels', f'{label}, on labels'
                net = student(model, parameters, settings, 'labels', seeds)
                add(config, f'{family}_labels', words, net, curve)
    mark_gaps(config, (f'mlp_1_{largest}',), largest)


def mark_gaps(config, dense, budget):
    """What a convolution brings to the best dense student, and the logits to two nets."""
    config.report.gaps = {
        'convolutional': {
            'label': 'convolutional gap',
            'low': dense,
            'high': (f'conv_1_{budget}',),
        },
        **{
            f'compression_{family}': {
                'label': 'compression gap',
                'low': (f'{family}_labels',),
                'high': (f'{family}_{budget}',),
            }
            for family in ('mlp_1', 'conv_1')
        },
    }


def of_one_budget(config, preset, families):
    """Name, label and net of some families' students on logits: at 10M, of small ones at 320k."""
    names = [f'{family}_{budget}' for budget in LABELLED for family in families]
    found = {
        name: (config.report.rows[name].label, config.students[name])
        for name in names
        if 'model' in config.students.get(name, {})
    }
    if not found:
        raise ValueError(
            f'preset {preset!r} has no net: its are convolutions of 10M or, with small, 320k, '
            'with the widths of this file'
        )
    return found


def clear(config):
    """No student, and no row but the ensemble's."""
    config.students = {}
    config.report.rows = {'ensemble': config.report.rows.ensemble}
    config.report.order = ('ensemble',)
    config.report.gaps = {}
    config.report.update({'grid': False, 'x_label': ''})


def with_dropout(model):
    """The model with dropout after each pool and before its output; parameters stay as they are."""
    tokens = [f'{token}-d.2' if token.startswith('p') else token for token in model.split('-')]
    return '-'.join([*tokens, 'd.4'])


def add(config, name, label, net, curve='', paper=-1.0, x=None):
    """A student and its row of the report."""
    config.students[name] = net
    add_row(config, name, label, 'students', net['budget'] if x is None else x, curve, paper)


def add_row(config, name, label, group, x=0.0, curve='', paper=-1.0):
    """A further row of the report; with a `curve` it is a point of the figure."""
    config.report.rows[name] = {
        'source': f'{group}.{name}',
        'label': label,
        'paper': paper,
        'curve': curve,
        'x': float(x),
    }
    config.report.order = (*config.report.order, name)


def written(budget):
    """'3.16M' of '3M16'; names in a config hold no point."""
    millions, _, rest = budget.partition('M')
    return f'{millions}.{rest}M' if rest else budget


def student(model, budget, settings, target='logits', seeds=(0,)):
    """A net whose free width the budget decides, mimicking the ensemble or on labels."""
    return {
        'model': model,
        'budget': budget,
        'target': target,
        'logits': 'ensemble' if target == 'logits' else '',
        'loss': {
            'kind': 'logits' if target == 'logits' else 'cross_entropy',
            'scale': 1.0,
            'temperature': 1.0,
            'soft_weight': 0.5,
        },
        'train': settings,
        'seeds': seeds,
    }


def train(**changes):
    """Settings of one training run; `changes` replace the common ones."""
    return {
        'epochs': 300,
        'batch_size': 128,
        'learning_rate': 0.005,
        'schedule': 'plateau',
        'warmup': 0.0,
        'momentum': 0.9,
        'weight_decay': 0.0,
        'clip_norm': 0.0,
        'dtype': 'float32',
        'init_scale': 1.0,
        **changes,
    }
