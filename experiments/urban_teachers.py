"""CIFAR-10: Urban et al.'s search for teachers, their ensemble of the best 16, and their Table 1.

    python -m mimic_jax.main --config=experiments/urban_teachers.py          # wants many GPUs or TPUs
    python -m mimic_jax.main --config=experiments/urban_teachers.py:small    # about an hour on 2 cores
    python -m mimic_jax.main --config=experiments/urban_teachers.py:smoke    # minutes, a first look

Bayesian optimisation over the paper's 18 hyperparameters, 129 trials (`--phase=search`; any number of
processes and machines may share one `--config.search.storage`), then the mean logits of the 16 nets
that are best on the validation split, and of 16 that are chosen one by one, each as the one that helps
the mean of those before it most there; members.png shows both, member by member. The same command goes
on where a run was stopped. Beside them stand the paper's nets of 1 to 4 convolutions on labels, with 10
million parameters, and Ba & Caruana's teacher and ensemble. urban_students.py teaches from the ensemble
of the best. The paper's own size has not been run; its figures stand in the table.

As in the paper: 40,000 images train and 10,000 validate, each minus its mean and over its deviation;
3×3 convolutions, 2×2 pools, dropout after each pool and each hidden layer; hue, saturation and value
moved, images mirrored, crops of 24 to 32 pixels resampled; the rate halved where the validation error
stays. Not in the paper, chosen here: batches of 128, zero biases, SAME padding, images normalised after
augmentation, at most 300 epochs. The nets on labels have the paper's architectures, decay and
augmentation, with urban_students.py's widths, and rates and dropout from inside the ranges that it
searched.

`:small` is another setting: 8,000 images, all widths over 4 and all dropout rates, which would keep nets
so narrow from fitting, convolutions batch normalised, 12 trials, the first 6 quasi-random, an ensemble of
4. Its 30 epochs of batches of 64 are too few for a validation error to stay, so that the rate falls by
half a cosine. Without batch normalisation, in 15 epochs, the ensemble stayed behind shallow nets on the
same labels. A trial takes 6 to 8 minutes of a core, the whole 77; two processes halve that.
"""

import ml_collections

BUDGET = 10e6
# Of 1 to 4 convolutions: the net, its dropout left open, and the paper's accuracy on labels.
ON_LABELS = {
    'conv_1': ('250c5-p3-d.2-?L-4k-d.4', 0.846, 'c-mp-lfc-fc'),
    'conv_2': ('200c5-p2-d.2-110c5-p2-d.35-?-d.4', 0.889, 'c-mp-c-mp-fc'),
    'conv_3': ('190c5-p2-d.2-190c5-p2-d.35-190c5-p2-d.4-?-d.4', 0.912, 'c-mp-c-mp-c-mp-fc'),
    'conv_4': (
        *('150c5-p2-d.2-150c5-190c5-p2-d.35-190c5-p2-d.4-?-d.4', 0.9175),
        'c-mp-c-c-mp-c-mp-fc',
    ),
}


def get_config(arg=''):
    config = whole()
    for preset in filter(None, arg.split(',')):
        if preset not in PRESETS:
            raise ValueError(f'unknown preset {preset!r}; this file has {", ".join(PRESETS)}')
        PRESETS[preset](config)
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
    config.views = views()
    config.search = {
        'space': space(),
        'member': {
            'model': (
                '{c1}c3^2-p2-d{d1:.4f}-{c2}c3^2-p2-d{d2:.4f}-{c3}c3^4-p2-d{d3:.4f}'
                '-{fc}-d{d4:.4f}-{fc}-d{d5:.4f}'
            ),
            'seed': 0,
            'subset': 1.0,
            'train': train(),
            'views': views(),
        },
        'sets': {
            'rate': 'train.learning_rate',
            'momentum': 'train.momentum',
            'decay': 'train.weight_decay',
            'init': 'train.init_scale',
            'hue': 'views.hue',
            'saturation': 'views.saturation',
            'value': 'views.value',
            'saturation_scale': 'views.saturation_scale',
            'value_scale': 'views.value_scale',
        },
        'trials': 129,
        'study': 'urban_teachers',
        'storage': '',  # a database's URL; empty: studies.sqlite in the workdir
        'objective': 'validation_accuracy',
        'seed': 0,
        'startup': 10,
    }
    config.members = found(config, 16)
    config.members.update({f'bc_{number}': bc_teacher(number) for number in (1, 2, 3, 4)})
    config.logits = {
        'ensemble': cache(ranked('best', 16), views=160),
        'greedy': cache(ranked('greedy', 16), views=1),
        'bc': cache(('bc_1', 'bc_2', 'bc_3', 'bc_4'), views=1),
    }
    config.students = {name: student(model) for name, (model, *_) in ON_LABELS.items()}
    config.report = {
        'ensemble': 'ensemble',
        'order': (*ON_LABELS, 'best_01', 'best_02', 'best_03', 'ensemble', 'greedy', 'bc_1', 'bc'),
        'by_members': True,
        'rows': {
            **{
                name: row(f'students.{name}', f'{name[-1]} conv: {net}', paper, '10M')
                for name, (_, paper, net) in ON_LABELS.items()
            },
            'best_01': row('members.best_01', 'best teacher', 0.9278, '5.3M'),
            'best_02': row('members.best_02', 'second teacher', 0.9277, '2.5M'),
            'best_03': row('members.best_03', 'third teacher', 0.9267, '5.8M'),
            'ensemble': row('logits.ensemble', 'ensemble of 16', 0.938, '83.4M'),
            'greedy': row('logits.greedy', '16 by greedy choice', -1.0, ''),
            'bc_1': row('members.bc_1', 'teacher of Ba & Caruana', 0.880, '2.1M'),
            'bc': row('logits.bc', 'their ensemble of 4', 0.890, '8.6M'),
        },
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
    return config


def small(config):
    """8,000 images, narrow nets, 12 trials, the best 4: a search in about an hour on 2 cores."""
    config.presets = {'smoke': 'takes some minutes'}
    config.data.train = 8000
    config.data.validation = 5000
    cut(
        config,
        study='urban_teachers_small',
        divisor=4,
        trials=12,
        ensemble=4,
        settings=train(epochs=30, batch_size=64, schedule='cosine', warmup=0.05),
    )
    config.search.member.model = (
        '{c1}c3-bn-{c1}c3-bn-p2-d{d1:.4f}-{c2}c3-bn-{c2}c3-bn-p2-d{d2:.4f}'
        '-{c3}c3-bn-{c3}c3-bn-{c3}c3-bn-{c3}c3-bn-p2-d{d3:.4f}-{fc}-d{d4:.4f}-{fc}-d{d5:.4f}'
    )
    config.run.evaluation_steps = 500
    config.run.checkpoint_steps = 250


def smoke(config):
    """1,000 images, widths over 16, 4 trials, the best 2: every phase on real images, in minutes."""
    config.presets = {}
    config.data.train = 1000
    config.data.validation = 500
    config.data.test = 1000
    config.data.unlabelled = 1000
    cut(
        config,
        study='urban_teachers_smoke',
        divisor=16,
        trials=4,
        ensemble=2,
        settings=train(epochs=4, batch_size=50, schedule='cosine', warmup=0.05),
    )


PRESETS = {'small': small, 'smoke': smoke}


def cut(config, study, divisor, trials, ensemble, settings):
    """A search of narrower nets alone; they stand beside no figure of the paper."""
    for name in ('c1', 'c2', 'c3', 'fc'):
        entry = config.search.space[name]
        entry.update({'low': entry.low // divisor, 'high': entry.high // divisor})
    for name in (
        'd1',
        'd2',
        'd3',
        'd4',
        'd5',
    ):  # the papers' dropout keeps narrow nets from fitting
        entry = config.search.space[name]
        entry.update({'low': entry.low / 4, 'high': entry.high / 4})
    config.search.update({'study': study, 'trials': trials, 'startup': trials // 2})
    config.search.member.train = settings
    config.members = found(config, ensemble)
    names = ranked('best', ensemble)
    config.logits = {  # students have a cache of their own
        'ensemble': cache(names, views=1),
        'greedy': cache(ranked('greedy', ensemble), views=1),
    }
    config.students = {}
    order = (*names[:3], 'ensemble', 'greedy')
    config.report.order = order
    for name in list(config.report.rows):
        if name not in order:
            del config.report.rows[name]
        else:
            config.report.rows[name].update({'paper': -1.0, 'paper_parameters': ''})
    config.report.rows.ensemble.label = f'ensemble of {ensemble}'
    config.report.rows.greedy.label = f'{ensemble} by greedy choice'


def space():
    """The paper's 18 hyperparameters and their ranges: widths, dropout, optimiser, augmentation."""
    return {
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


def views():
    """Augmentation with the constants of the paper's best single teacher, which its students have."""
    return {
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


def ranked(choice, count):
    """The names of the first members of a choice, in its order."""
    return tuple(f'{choice}_{rank:02}' for rank in range(1, count + 1))


def found(config, count):
    """Members of the search by name: the best by validation accuracy, and a greedy choice.

    Their study and storage are the search's, whatever a flag makes of those.
    """
    study = {key: config.search.get_ref(key) for key in ('study', 'storage')}
    return {
        name: {'from_study': {**study, 'rank': rank, 'choice': choice}}
        for choice in ('best', 'greedy')
        for rank, name in enumerate(ranked(choice, count), 1)
    }


def bc_teacher(number):
    """Ba & Caruana's teacher as cifar_student.py has it, whose artifacts serve where they are."""
    return {
        'model': '128c5-p3/2-128c5-p3/2-128c5-p3/2-1k-d.5',
        'seed': number,
        'subset': 1.0,
        'train': train(
            epochs=80, learning_rate=0.02, schedule='cosine', warmup=0.05, weight_decay=5e-4
        ),
        'views': {'seed': 0, 'mirror': True, 'shift': 4, 'padding': 'reflect'},
    }


def cache(members, views):
    """The members' mean logits on the training images; their mean is the ensemble of the report."""
    return {
        'members': members,
        'transfer': ('train',),
        'limit': 0,
        'views': views,
        'dtype': 'float16',
    }


def student(model):
    """A net on labels with the paper's budget for them."""
    return {
        'model': model,
        'budget': BUDGET,
        'target': 'labels',
        'logits': '',
        'loss': {'kind': 'cross_entropy', 'scale': 0.5, 'temperature': 1.0, 'soft_weight': 0.5},
        'train': train(learning_rate=0.006, weight_decay=2e-4),
        'seeds': (0,),
    }


def row(source, label, paper, parameters):
    """A row of the report, with what the paper prints beside it."""
    return {'source': source, 'label': label, 'paper': paper, 'paper_parameters': parameters}


def train(**changes):
    """Settings of one training run; `changes` replace the common ones."""
    return {
        'epochs': 300,
        'batch_size': 128,
        'learning_rate': 0.02,
        'schedule': 'plateau',
        'warmup': 0.0,
        'momentum': 0.9,
        'weight_decay': 0.0,
        'clip_norm': 0.0,
        'dtype': 'float32',
        'init_scale': 1.0,
        **changes,
    }
