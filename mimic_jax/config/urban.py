"""What the experiments of Urban et al. share: data, views, the ensemble and its cache, kinds of nets.

A size is '' (the paper's), 'small' or 'smoke'.
"""

from mimic_jax.config import airbench, presets

SIZES = ('small', 'smoke')
MEMBERS = {'': 16, 'small': 4, 'smoke': 2}  # of the ensemble, by size
VIEWS = {'': 160, 'small': 24, 'smoke': 4}  # of the cache that students learn from
BUDGETS = {'1M': 1e6, '3M16': 3.16e6, '10M': 10e6, '31M6': 31.6e6}  # names hold no point
SMALL_BUDGETS = {'100k': 100e3, '320k': 320e3}  # with the widths of 1M and 3M16 over 4
FAMILIES = {  # of students, as the paper calls them
    'mlp_1': 'bottleneck + 1 hidden',
    'mlp_2': '2 hidden',
    'mlp_3': '3 hidden',
    'mlp_4': '4 hidden',
    'mlp_5': '5 hidden',
    'conv_1': '1 conv, 1 mp, bottleneck',
    'conv_2': '2 conv, 2 mp',
    'conv_3': '3 conv, 3 mp',
    'conv_4': '4 conv, 3 mp',
}
ACCURACIES = {  # the paper's, of students by budget
    'mlp_1': (0.658, 0.682, 0.695, 0.702),
    'mlp_2': (0.662, 0.709, 0.734, 0.743),
    'mlp_3': (0.668, 0.710, 0.730, 0.739),
    'mlp_4': (0.667, 0.695, 0.716, 0.720),
    'mlp_5': (0.664, 0.700, 0.714, 0.715),
    'conv_1': (0.845, 0.863, 0.873, 0.877),
    'conv_2': (0.879, 0.893, 0.900, 0.903),
    'conv_3': (0.907, 0.916, 0.919, 0.923),
    'conv_4': (0.913, 0.918, 0.926, 0.926),
}
FIGURE_1 = {  # the paper's, the mean of the five best nets of a search, by budget
    'mlp_1': (0.6560, 0.6791, 0.6941, 0.7001),
    'mlp_2': (0.6615, 0.7045, 0.7276, 0.7407),
    'mlp_3': (0.6656, 0.7042, 0.7254, 0.7344),
    'mlp_4': (0.6649, 0.6938, 0.7151, 0.7179),
    'mlp_5': (0.6633, 0.6970, 0.7111, 0.7125),
    'conv_1': (0.8433, 0.8604, 0.8717, 0.8761),
    'conv_2': (0.8779, 0.8918, 0.8975, 0.9022),
    'conv_3': (0.9052, 0.9124, 0.9184, 0.9186),
    'conv_4': (0.9115, 0.9167, 0.9230, 0.9244),
}
CLIP_NORM = 10.0  # of students of the whole size: without it some diverge, see urban_students.py
ON_LABELS = {  # at 10M: the net, with dropout, and the paper's accuracy
    'mlp_1': ('?L-12k-d.4', 0.668),
    'conv_1': ('250c5-p3-d.2-?L-4k-d.4', 0.846),
    'conv_2': ('200c5-p2-d.2-110c5-p2-d.35-?-d.4', 0.889),
    'conv_3': ('190c5-p2-d.2-190c5-p2-d.35-190c5-p2-d.4-?-d.4', 0.912),
    'conv_4': ('150c5-p2-d.2-150c5-190c5-p2-d.35-190c5-p2-d.4-?-d.4', 0.9175),
}


def data(size=''):
    """CIFAR-10: 40,000 images train and 10,000 validate, or fewer."""
    fewer = {
        'small': {'train': 8000, 'validation': 5000},
        'smoke': {'train': 1000, 'validation': 500, 'test': 1000, 'unlabelled': 1000},
    }
    return {'name': 'cifar10', 'train': 40000, 'validation': 10000, **fewer.get(size, {})}


def views():
    """Augmentation with the constants of the paper's best single teacher, as its students use them."""
    return {
        'mirror': True,
        'crop': 24,
        'hue': 0.06,
        'saturation': 0.26,
        'value': 0.20,
        'saturation_scale': 0.21,
        'value_scale': 0.13,
    }


def still():
    """What turns `views` off again, for nets with views of their own."""
    colours = ('hue', 'saturation', 'value', 'saturation_scale', 'value_scale')
    return {'crop': 0, **dict.fromkeys(colours, 0.0)}


def fast_members(count):
    """Teachers by airbench's recipe for 94%, in as many steps on 40,000 images as Jordan's on 50,000."""
    found = airbench.members(count)
    for member in found.values():
        member['train']['epochs'] = 12
        member['views'] = {**still(), **airbench.views()}
    return found


def fast(config):
    """Three teachers that cost little, 40 views, 160 epochs, and twins on labels at 1M."""
    config.members = fast_members(3)
    config.logits.ensemble = cache(tuple(config.members), views=40)
    config.report.rows.ensemble.label = 'ensemble of 3'
    train = {'epochs': 160, 'learning_rate': 0.01, 'clip_norm': CLIP_NORM}
    for name, student in list(config.students.items()):
        decay = student.train.get('weight_decay', 0.0)
        student.train = {**train, 'weight_decay': decay}
        family, _, budget = name.rpartition('_')
        if budget == '1M' and family in ON_LABELS:
            twin = {'model': dropped(student.model), 'budget': student.budget}
            config.students[f'{name}_labels'] = {**twin, 'train': {**train, 'weight_decay': 2e-4}}
            row = config.report.rows[name]
            words = {'label': f'{row.label}, on labels', 'curve': f'{row.curve}, on labels'}
            presets.add_row(config, f'{name}_labels', f'students.{name}_labels', x=row.x, **words)


def dropped(model):
    """The model with dropout of .2 behind each pool, and of .4 ahead of the output."""
    return model.replace('p2', 'p2-d.2').replace('p3', 'p3-d.2') + '-d.4'


def study(size=''):
    """The name of the study of the search for teachers."""
    return f'urban_teachers_{size}' if size else 'urban_teachers'


def ranked(choice, count):
    """The names of a choice's first `count` members, in order."""
    return tuple(f'{choice}_{rank:02}' for rank in range(1, count + 1))


def members(choice, count, study=''):
    """A choice's first `count` members by name; an empty `study` means the study of `config.search`."""
    return {
        name: {'from_study': {'study': study, 'rank': rank, 'choice': choice}}
        for rank, name in enumerate(ranked(choice, count), 1)
    }


def cache(members, views):
    """The members' mean logits on the training images."""
    return {'members': members, 'transfer': ('train',), 'views': views}


def teaching(size, study=''):
    """What students of a size learn from: data, views, members and their cache, and the run's settings.

    study: the members' study; empty: `config.search.study`.
    """
    return {
        'data': data(size),
        'views': views(),
        'members': members('best', MEMBERS[size], study),
        'logits': {'ensemble': cache(ranked('best', MEMBERS[size]), VIEWS[size])},
        'run': {'evaluation_steps': 500, 'checkpoint_steps': 500} if size == 'small' else {},
    }


def plateau(epochs, learning_rate, **settings):
    """Training as in the paper: the rate is halved when the validation error stops falling.

    The best weights are kept. Training goes on for 30 epochs behind them.
    """
    rates = {'learning_rate': learning_rate, 'schedule': 'plateau', 'warmup': 0.0, 'keep': 'best'}
    return {'epochs': epochs, **rates, **settings}


def training(size, learning_rate=0.005):
    """How students of a size are trained; a search replaces the rate by its own."""
    if not size:
        return plateau(480, learning_rate, clip_norm=CLIP_NORM)
    epochs, batch_size = {'small': (24, 64), 'smoke': (4, 50)}[size]
    settings = {'epochs': epochs, 'batch_size': batch_size, 'clip_norm': 1.0}
    return {**settings, 'learning_rate': learning_rate}


def mimicking(model, budget, train, seeds=(0,)):
    """A student of the ensemble: squared error on raw logits, without the ½."""
    return {
        'model': model,
        'budget': budget,
        'target': 'logits',
        'logits': 'ensemble',
        'loss': {'kind': 'logits', 'scale': 1.0},
        'train': train,
        'seeds': seeds,
    }


def on_labels(family):
    """The net of 10 million parameters that the paper trains on labels."""
    model, _ = ON_LABELS[family]
    train = plateau(300, 0.006, weight_decay=2e-4, clip_norm=CLIP_NORM)
    return {'model': model, 'budget': 10e6, 'train': train}


def accuracies(table=ACCURACIES):
    """The paper's accuracies by name: the ensemble's, a table's, and those of nets on labels.

    table: of students by budget, Table 2 or Figure 1.
    """
    students = {
        f'{family}_{budget}': accuracy
        for family, row in table.items()
        for budget, accuracy in zip(BUDGETS, row, strict=True)
    }
    labelled = {f'{family}_labels': accuracy for family, (_, accuracy) in ON_LABELS.items()}
    return {'ensemble': 0.938, **students, **labelled}
