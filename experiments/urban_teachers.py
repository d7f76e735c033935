"""CIFAR-10: Urban et al.'s search for teachers, their ensemble of the best 16, and their Table 1.

    python -m mimic_jax.main --config=experiments/urban_teachers.py          # wants many GPUs or TPUs
    python -m mimic_jax.main --config=experiments/urban_teachers.py:small    # about an hour on 2 cores
    python -m mimic_jax.main --config=experiments/urban_teachers.py:smoke    # minutes, a first look
    python -m mimic_jax.main --config=experiments/urban_teachers.py:printed  # the paper's three, no search

Bayesian optimisation searches the paper's 18 hyperparameters in 129 trials (`--phase=search`). Any number
of processes and machines may share one search through `--config.search.storage`. Two ensembles of 16 nets
are made of its nets. One has the nets that are best on the validation split. The other is chosen greedily:
each step adds the net that raises the ensemble's validation accuracy the most. members.png shows both,
member by member. The table also has the paper's nets of 1 to 4 convolutions on labels, with 10 million
parameters, and Ba & Caruana's teacher and ensemble. The same command continues a stopped run.
urban_students.py teaches from the ensemble of the best. The paper's size has not been run; the paper's
figures stand in the table. `:printed` has the three teachers that the paper prints, in place of a search:
what a search finds has no figure of theirs beside it. Their rate, momentum, decay and dropout are from the
middle of the paper's ranges, the factor on the initialisation is 1.2 of [.8, 1.35]. In a trial (widths over
4, no dropout, 12,800 images, 150 steps, one seed) the training loss after 25, 50 and 75 steps was 2.30,
2.30 and 2.23 at a factor of 1, and 2.27, 2.20 and 2.17 at 1.2; ln 10 is 2.30, so at 1 the nets start later.

As in the paper: 40,000 images train and 10,000 validate, each minus its mean and over its deviation. Nets
have 3×3 convolutions, 2×2 pools, and dropout after each pool and each hidden layer. Hue, saturation and
value are moved, images are mirrored, crops of 24 to 32 pixels are resampled. The rate is halved when the
validation error stops falling. Not in the paper, chosen here: batches of 128, zero biases, SAME padding,
images normalised after augmentation, at most 300 epochs. The nets on labels have the paper's
architectures, decay and augmentation. Their widths are those of urban_students.py; their rates and dropout
lie inside the ranges that the paper searched.

`:small` is another setting: 8,000 images, 12 trials, the first 6 quasi-random, and ensembles of 4. All
widths are divided by 4, and so are all dropout rates, because nets so narrow would not fit with the whole
rates. Convolutions are batch normalised. 30 epochs of batches of 64 are too few for the validation error to
level off, so the rate falls by half a cosine. After 15 epochs without batch normalisation, the ensemble was
behind shallow nets on the same labels. A trial takes 6 to 8 minutes of a core, the whole 77. Two processes
halve that.
"""

from mimic_jax.config import cifar, presets, urban

CONVOLUTIONS = {  # the paper's names of its nets on labels
    'conv_1': 'c-mp-lfc-fc',
    'conv_2': 'c-mp-c-mp-fc',
    'conv_3': 'c-mp-c-mp-c-mp-fc',
    'conv_4': 'c-mp-c-c-mp-c-mp-fc',
}
# The three best of the paper's search: its notation, the net, accuracy, parameters.
PRINTED = {
    'printed_1': ('76c²-mp-126c²-mp-148c⁴-mp-1200fc²', (76, 126, 148, 1200), 0.9278, '5.3M'),
    'printed_2': ('96c²-mp-171c²-mp-128c⁴-mp-512fc²', (96, 171, 128, 512), 0.9277, '2.5M'),
    'printed_3': ('54c²-mp-158c²-mp-189c⁴-mp-1044fc²', (54, 158, 189, 1044), 0.9267, '5.8M'),
}
BA_CARUANA = ('bc_1', 'bc_2', 'bc_3', 'bc_4')
# The paper's 18 hyperparameters and their ranges: widths, dropout, optimiser, augmentation.
SPACE = {
    'c1': {'low': 32, 'high': 96, 'int': True},  # filters of layers 1 and 2
    'c2': {'low': 64, 'high': 192, 'int': True},  # 3 and 4
    'c3': {'low': 128, 'high': 384, 'int': True},  # 5 to 8
    'fc': {'low': 512, 'high': 1536, 'int': True},  # units of both hidden layers
    'd1': {'low': 0.1, 'high': 0.3},  # dropout after the first pool, and so on
    'd2': {'low': 0.25, 'high': 0.35},
    'd3': {'low': 0.3, 'high': 0.44},
    'd4': {'low': 0.2, 'high': 0.65},
    'd5': {'low': 0.2, 'high': 0.65},
    'rate': {'low': 0.01, 'high': 0.05, 'log': True},
    'momentum': {'low': 0.8, 'high': 0.91, 'log': True},
    'decay': {'low': 5e-5, 'high': 4e-4},
    'init': {'low': 0.8, 'high': 1.35},
    'hue': {'low': 0.03, 'high': 0.11},
    'saturation': {'low': 0.2, 'high': 0.3},
    'value': {'low': 0.0, 'high': 0.2},
    'saturation_scale': {'low': 0.2, 'high': 0.3},
    'value_scale': {'low': 0.03, 'high': 0.2},
}
SETS = {
    'rate': 'train.learning_rate',
    'momentum': 'train.momentum',
    'decay': 'train.weight_decay',
    'init': 'train.init_scale',
    'hue': 'views.hue',
    'saturation': 'views.saturation',
    'value': 'views.value',
    'saturation_scale': 'views.saturation_scale',
    'value_scale': 'views.value_scale',
}


def get_config(arg=''):
    model = (
        '{c1}c3^2-p2-d{d1:.4f}-{c2}c3^2-p2-d{d2:.4f}-{c3}c3^4-p2-d{d3:.4f}'
        '-{fc}-d{d4:.4f}-{fc}-d{d5:.4f}'
    )
    config = {
        'presets': presets.SHORTER,
        'data': urban.data(),
        'views': urban.views(),
        'search': {
            'space': SPACE,
            'member': {'model': model, 'train': urban.plateau(300, 0.02)},
            'sets': SETS,
            'trials': 129,
            'study': urban.study(),
        },
        'members': {
            **urban.members('best', 16),
            **urban.members('greedy', 16),
            **{name: bc_teacher(seed) for seed, name in enumerate(BA_CARUANA, 1)},
        },
        'logits': {
            'ensemble': urban.cache(urban.ranked('best', 16), views=160),
            'greedy': urban.cache(urban.ranked('greedy', 16), views=1),
            'bc': urban.cache(BA_CARUANA, views=1),
        },
        'students': {name: urban.on_labels(name) for name in CONVOLUTIONS},
        'report': presets.report('ensemble', rows(), by_members=True),
    }
    presets.one_of(presets.chosen(arg, PRESETS), PRESETS, '')  # the sizes are of the search
    return presets.build(config, PRESETS, arg)


def rows():
    """The rows of the report, with the paper's figures beside them."""
    result = {}
    for name, net in CONVOLUTIONS.items():
        label, (_, paper) = f'{name[-1]} conv: {net}', urban.ON_LABELS[name]
        result[name] = presets.row(f'students.{name}', label, paper, paper_parameters='10M')
    for name, source, label, paper, parameters in (
        ('best_01', 'members', 'best teacher', -1.0, ''),
        ('best_02', 'members', 'second teacher', -1.0, ''),
        ('best_03', 'members', 'third teacher', -1.0, ''),
        ('ensemble', 'logits', 'ensemble of 16', 0.938, '83.4M'),
        ('greedy', 'logits', '16 by greedy choice', -1.0, ''),
        ('bc_1', 'members', 'teacher of Ba & Caruana', 0.880, '2.1M'),
        ('bc', 'logits', 'their ensemble of 4', 0.890, '8.6M'),
    ):
        result[name] = presets.row(f'{source}.{name}', label, paper, paper_parameters=parameters)
    return result


def bc_teacher(seed):
    """Ba & Caruana's teacher with cifar_student.py's settings, whose artifacts are reused."""
    net = presets.member(cifar.TEACHER, cifar.teacher_train(), seed)
    return {**net, 'views': {'shift': 4, 'padding': 'reflect', **urban.still()}}


def small(config):
    """8,000 images, narrow nets, 12 trials, the best 4: a search in about an hour on 2 cores."""
    cut(config, 'small', divisor=4, trials=12)
    config.search.member.model = (
        '{c1}c3-bn-{c1}c3-bn-p2-d{d1:.4f}-{c2}c3-bn-{c2}c3-bn-p2-d{d2:.4f}'
        '-{c3}c3-bn-{c3}c3-bn-{c3}c3-bn-{c3}c3-bn-p2-d{d3:.4f}-{fc}-d{d4:.4f}-{fc}-d{d5:.4f}'
    )
    config.search.member.train.update({'epochs': 30, 'batch_size': 64})
    config.run.update({'evaluation_steps': 500, 'checkpoint_steps': 250})


def smoke(config):
    """1,000 images, widths over 16, 4 trials, the best 2: every phase on real images, in minutes."""
    cut(config, 'smoke', divisor=16, trials=4)
    config.search.member.train.update({'epochs': 4, 'batch_size': 50})


def printed(config):
    """Table 1 with the paper's three printed teachers in place of what a search finds."""
    train = urban.plateau(300, 0.02, momentum=0.85, weight_decay=2e-4, init_scale=1.2)
    config.search = {}
    bc = {name: config.members[name] for name in BA_CARUANA}
    config.members = bc | {
        name: {'model': printed_model(*widths), 'seed': seed, 'train': dict(train)}
        for seed, (name, (_, widths, _, _)) in enumerate(PRINTED.items(), 1)
    }
    config.logits = {
        'ensemble': urban.cache(tuple(PRINTED), views=1),
        'bc': urban.cache(BA_CARUANA, views=1),
    }
    found = {
        name: presets.row(f'members.{name}', label, paper, paper_parameters=parameters)
        for name, (label, _, paper, parameters) in PRINTED.items()
    }
    found['ensemble'] = presets.row('logits.ensemble', 'the three together')
    kept = {name: row for name, row in rows().items() if name in (*CONVOLUTIONS, 'bc_1', 'bc')}
    config.report = presets.report('ensemble', kept | found, by_members=True)


def printed_model(c1, c2, c3, fc):
    """A net of the search with these widths, its dropout in the middle of the ranges."""
    return f'{c1}c3^2-p2-d.2-{c2}c3^2-p2-d.3-{c3}c3^4-p2-d.37-{fc}-d.42-{fc}-d.42'


PRESETS = {'small': small, 'smoke': smoke, 'printed': printed}


def cut(config, size, divisor, trials):
    """Leaves a search of narrower nets alone, without the paper's figures."""
    count = urban.MEMBERS[size]
    best, greedy = urban.ranked('best', count), urban.ranked('greedy', count)
    config.data.update(urban.data(size))
    for name, entry in config.search.space.items():
        if entry.int:  # widths
            entry.update({'low': entry.low // divisor, 'high': entry.high // divisor})
        elif name in ('d1', 'd2', 'd3', 'd4', 'd5'):  # narrow nets would not fit with more dropout
            entry.update({'low': entry.low / 4, 'high': entry.high / 4})
    config.search.update({'study': urban.study(size), 'trials': trials, 'startup': trials // 2})
    config.search.member.train.update({'schedule': 'cosine', 'warmup': 0.05, 'keep': 'last'})
    config.members = {**urban.members('best', count), **urban.members('greedy', count)}
    config.logits = {  # students have a cache of their own
        'ensemble': urban.cache(best, views=1),
        'greedy': urban.cache(greedy, views=1),
    }
    config.students = {}
    labels = {name: config.report.rows[name].label for name in best[:3]}
    found = {name: presets.row(f'members.{name}', label) for name, label in labels.items()}
    found['ensemble'] = presets.row('logits.ensemble', f'ensemble of {count}')
    found['greedy'] = presets.row('logits.greedy', f'{count} by greedy choice')
    config.report = presets.report('ensemble', found, by_members=True)
