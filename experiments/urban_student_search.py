"""CIFAR-10: Urban et al.'s search for a student: one family of nets at one budget, by validation accuracy.

    python -m mimic_jax.main --config=experiments/urban_student_search.py:conv_2,10M
    python -m mimic_jax.main --config=experiments/urban_student_search.py:small       # half an hour
    python -m mimic_jax.main --config=experiments/urban_student_search.py:smoke       # minutes

A family of hidden layers (`:mlp_1`, with a bottleneck, `:mlp_2`, `:mlp_3`, `:mlp_4`, `:mlp_5`) or of
convolutions (`:conv_1`, `:conv_2`, `:conv_3`, `:conv_4`), and a budget (`:1M`, `:3M16`, `:10M`, `:31M6`;
with `:small` or smoke `:100k`, `:320k`). Left out they are conv_1 and 10M, or 320k. All learn from the
cache of urban_students.py of the same size, which is made where it is not there; run urban_teachers.py
first, in the same workdir. The preset `:searched` of urban_students.py tabulates the best net of every
such search. `:labels` is the search for a net on labels, with dropout, for the families that the paper
has them of, at 10M (or 320k). The same command goes on where a search was stopped; several processes may
share one through `--config.search.storage`. Nobody has run them here.

As in the paper: rate, momentum, input scale, a factor on the initialisation and the widths are searched
in its ranges, for each budget its own; one width is solved from the budget. Not in the paper, chosen
here: 40 trials a search, widths on a log scale, ratios of the widths of deep dense nets from ½ to 2 of the
last layer's, for nets on labels of one hidden layer the students' widths, batches of 128, at most 480
epochs. The rest is as in urban_students.py.

`:small` is another setting: 8,000 images, the paper's widths over 4, 12 trials of 24 epochs, and rates
around urban_students.py:small's. At 60 GFLOP/s on 2 cores a trial at 320k takes 1 minute for conv_1 and 2
for conv_3 (5 and 12 MFLOP forward in the middle of the space), and 20 s more for its views. These are
estimates; nothing was measured.
"""

import ml_collections

BUDGETS = {'1M': 1e6, '3M16': 3.16e6, '10M': 10e6, '31M6': 31.6e6}
SMALL_BUDGETS = {'100k': 100e3, '320k': 320e3}  # with the widths of 1M and 3M16 over 4
# Of each family: the net, and the ranges of its widths at the four budgets.
FAMILIES = {
    'mlp_1': (
        '?L-{fc}',
        {'fc': ((500, 5000), (1000, 20000), (5000, 30000), (5000, 45000))},
    ),
    'conv_1': (
        '{c1}c5-p3-?L-{fc}',
        {
            'c1': ((40, 150), (50, 300), (50, 450), (200, 600)),
            'fc': ((200, 1600), (100, 4000), (500, 20000), (1000, 4100)),
        },
    ),
    'conv_2': (
        '{c1}c5-p2-{c2}c5-p2-?',
        {'c1': ((20, 120), (50, 250), (50, 350), (50, 800)), 'c2': ((20, 120),) * 4},
    ),
    'conv_3': (
        '{c1}c5-p2-{c2}c5-p2-{c3}c5-p2-?',
        dict.fromkeys(('c1', 'c2', 'c3'), ((20, 110), (40, 200), (50, 350), (50, 650))),
    ),
    'conv_4': (
        '{c1}c5-p2-{c2}c5-{c3}c5-p2-{c4}c5-p2-?',
        {
            **dict.fromkeys(('c1', 'c2'), ((25, 100), (50, 150), (50, 300), (50, 500))),
            **dict.fromkeys(('c3', 'c4'), ((25, 100), (50, 200), (50, 350), (50, 650))),
        },
    ),
}
RATIOS = {  # of dense nets of several hidden layers
    f'mlp_{depth}': '-'.join([*(f'?*{{r{layer}:.3f}}' for layer in range(1, depth)), '?'])
    for depth in (2, 3, 4, 5)
}
DROPOUT = {'d1': (0.05, 0.4), 'd2': (0.1, 0.6), 'd3': (0.1, 0.7), 'f1': (0.1, 0.7)}
ON_LABELS = {  # at 10M: the net, and the ranges of its widths
    'mlp_1': ('?L-{fc}-d{f1:.4f}', {'fc': (5000, 30000)}),
    'conv_1': ('{c1}c5-p3-d{d1:.4f}-?L-{fc}-d{f1:.4f}', {'c1': (50, 500), 'fc': (200, 2000)}),
    'conv_2': (
        '{c1}c5-p2-d{d1:.4f}-{c2}c5-p2-d{d2:.4f}-?-d{f1:.4f}',
        {'c1': (50, 500), 'c2': (100, 400)},
    ),
    'conv_3': (
        '{c1}c5-p2-d{d1:.4f}-{c2}c5-p2-d{d2:.4f}-{c3}c5-p2-d{d3:.4f}-?-d{f1:.4f}',
        {'c1': (50, 500), 'c2': (100, 300), 'c3': (100, 300)},
    ),
    'conv_4': (
        '{c1}c5-p2-d{d1:.4f}-{c2}c5-{c3}c5-p2-d{d2:.4f}-{c4}c5-p2-d{d3:.4f}-?-d{f1:.4f}',
        {'c1': (50, 300), 'c2': (50, 300), 'c3': (100, 300), 'c4': (100, 300)},
    ),
}
SIZES = ('small', 'smoke')
PRESETS = (
    *(*SIZES, *FAMILIES, *RATIOS, *BUDGETS, 'labels'),
    *(f'small,{budget}' for budget in SMALL_BUDGETS),
    'small,labels',
)


def get_config(arg=''):
    chosen = [preset for preset in arg.split(',') if preset]
    size = one_of(chosen, SIZES, '')
    budgets = SMALL_BUDGETS if size else BUDGETS
    budget = one_of(chosen, budgets, '320k' if size else '10M')
    family = one_of(chosen, (*FAMILIES, *RATIOS), 'conv_1')
    for preset in chosen:
        if preset not in (*SIZES, *FAMILIES, *RATIOS, *budgets, 'labels'):
            raise ValueError(
                f'unknown preset {preset!r}; this file has {", ".join((*PRESETS, *SMALL_BUDGETS))}, '
                'the two smallest budgets with small'
            )
    config = common(size)
    if 'labels' in chosen:
        on_labels(config, size, family, budget)
    else:
        mimicking(config, size, family, budget)
    return config


def one_of(chosen, known, default):
    """The preset of a kind that was chosen."""
    found = [preset for preset in chosen if preset in known]
    if len(found) > 1:
        raise ValueError(f'{" and ".join(found)} are searches of their own; name one')
    return found[0] if found else default


def common(size):
    """Data, views, and the ensemble with its cache: as urban_students.py has them."""
    config = ml_collections.ConfigDict()
    config.presets = {} if size else dict.fromkeys(SIZES, 'is a search for a CPU')
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
    if size == 'small':
        config.data.update({'train': 8000, 'validation': 5000})
    if size == 'smoke':
        config.data.update({'train': 1000, 'validation': 500, 'test': 1000, 'unlabelled': 1000})
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
        'evaluation_steps': 500 if size == 'small' else 1,
        'checkpoint_steps': 500 if size == 'small' else 1,
        'steps_per_call': 0,
        'model_axis': 1,
        'placement': 'auto',
        'evaluation_batch_size': 500,
    }
    ensemble, views = {'': (16, 160), 'small': (4, 24), 'smoke': (2, 4)}[size]
    names = tuple(f'best_{rank:02}' for rank in range(1, ensemble + 1))
    study = f'urban_teachers_{size}' if size else 'urban_teachers'
    storage = ml_collections.FieldReference('')  # one for teachers and students
    config.members = {
        name: {'from_study': {'study': study, 'storage': storage, 'rank': rank, 'choice': 'best'}}
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
    return config


def mimicking(config, size, family, budget):
    """The search for a student on the ensemble's logits."""
    divisor = 4 if size else 1
    space = {
        **whole_numbers(family, list(SMALL_BUDGETS if size else BUDGETS).index(budget), divisor),
        'rate': logarithmic(0.02, 0.3) if size else logarithmic(0.0013, 0.016),
        'momentum': logarithmic(0.68, 0.97),
        'input_scale': {'low': 0.8, 'high': 1.25},
        'init': {'low': 0.4, 'high': 2.0},
    }
    model = RATIOS[family] if family in RATIOS else FAMILIES[family][0]
    search(config, size, f'{family}_{budget}', model, budget, space)
    config.search.sets.update({'input_scale': 'train.input_scale', 'init': 'train.init_scale'})


def on_labels(config, size, family, budget):
    """The search for a net on labels, at the one budget that the paper has them of."""
    if family not in ON_LABELS or budget not in ('10M', '320k'):
        raise ValueError(
            f'labels goes with {", ".join(ON_LABELS)}, at 10M or, with small, 320k; '
            f'{family} at {budget} is not among them'
        )
    model, widths = ON_LABELS[family]
    divisor = 8 if size else 1  # the paper's ranges are of a budget further up
    space = {
        **{name: between(low // divisor, high // divisor) for name, (low, high) in widths.items()},
        **{
            name: {'low': low, 'high': high}
            for name, (low, high) in DROPOUT.items()
            if f'{{{name}:' in model
        },
        'rate': logarithmic(0.02, 0.3) if size else logarithmic(0.0015, 0.025),
        'momentum': logarithmic(0.68, 0.97),
    }
    search(config, size, f'{family}_labels', model, budget, space)
    config.search.student.update({'target': 'labels', 'logits': ''})
    config.search.student.loss.kind = 'cross_entropy'
    config.search.student.train.weight_decay = 2e-4


def whole_numbers(family, position, divisor):
    """The widths of a family at one of the budgets, or the ratios of them."""
    if family in RATIOS:
        depth = int(family[-1])
        return {f'r{layer}': logarithmic(0.5, 2.0) for layer in range(1, depth)}
    widths = FAMILIES[family][1]
    ends = {name: ranges[position] for name, ranges in widths.items()}
    return {name: between(low // divisor, high // divisor) for name, (low, high) in ends.items()}


def logarithmic(low, high):
    return {'low': low, 'high': high, 'log': True}


def between(low, high):
    return {'low': low, 'high': high, 'log': True, 'int': True}


def search(config, size, name, model, budget, space):
    """A search over `space` whose best nets are the students of the report."""
    middle = f'_{size}' if size else ''
    config.search = {
        'space': space,
        'student': {
            'model': model,
            'budget': {**BUDGETS, **SMALL_BUDGETS}[budget],
            'target': 'logits',
            'logits': 'ensemble',
            'loss': {'kind': 'logits', 'scale': 1.0, 'temperature': 1.0, 'soft_weight': 0.5},
            'train': train(size),
            'seeds': (0,),
        },
        'sets': {'rate': 'train.learning_rate', 'momentum': 'train.momentum'},
        'trials': {'': 40, 'small': 12, 'smoke': 3}[size],
        'study': f'urban_student{middle}_{name}',
        # A database's URL; empty: studies.sqlite in the workdir. The teachers' study is there too.
        'storage': config.members.best_01.from_study.get_ref('storage'),
        'objective': 'validation_accuracy',
        'seed': 0,
        'startup': {'': 10, 'small': 6, 'smoke': 2}[size],
    }
    ranks = range(1, (2 if size == 'smoke' else 5) + 1)
    study = {key: config.search.get_ref(key) for key in ('study', 'storage')}
    config.students = {f'found_{rank}': {'from_study': {**study, 'rank': rank}} for rank in ranks}
    rows = {f'found_{rank}': f'{name}, number {rank} on validation' for rank in ranks}
    config.report = {
        'ensemble': 'ensemble',
        'order': (*rows, 'ensemble'),
        'rows': {
            **{row: {'source': f'students.{row}', 'label': label} for row, label in rows.items()},
            'ensemble': {'source': 'logits.ensemble', 'label': 'ensemble'},
        },
    }


def train(size):
    """Settings of one trial; rate and momentum are the search's."""
    settings = {
        'epochs': 480,
        'batch_size': 128,
        'learning_rate': 0.005,
        'schedule': 'plateau',
        'warmup': 0.0,
        'momentum': 0.9,
        'weight_decay': 0.0,
        'clip_norm': 0.0,
        'dtype': 'float32',
        'init_scale': 1.0,
        'input_scale': 1.0,
    }
    if size:
        settings.update({'schedule': 'cosine', 'warmup': 0.05, 'clip_norm': 1.0})
        settings.update({'epochs': 24 if size == 'small' else 4})
        settings.update({'batch_size': 64 if size == 'small' else 50})
    return settings
