"""CIFAR-10: what Ba & Caruana's text says of the method, each claim as a comparison of its own.

    python -m mimic_jax.main --config=experiments/cifar_claims.py:losses,small

- `:losses` (section 2.2): the same student on raw logits, standardised logits, probabilities, KL
  divergence and Hinton's soft and hard mix. The paper finds that logits win.
- `:bottleneck` (section 2.3): the student with and without its linear layer, and the first with the
  layer multiplied away afterwards; accuracy by step and by time (time.png), memory, latency.
- `:transfer` (section 3.2): accuracy against the number of unlabelled transfer images, and transfer on
  images that the teachers were trained on against as many that they never saw; as nearly as whole epochs
  allow the same number of steps, and equally many views.
- `:overfitting` (section 5.1, Figure 2): the net on labels, the same with dropout, and the mimic, at a
  constant rate and without augmentation; accuracy.png has their validation accuracy by step.
- `:noise10`, `:noise30` (section 5.1): with 10% or 30% of the training labels replaced by other
  classes, the student on those labels against the mimic of a teacher trained on the same labels.

Without `:small` the nets are those of cifar_student.py and want a GPU or TPU; nobody has run them here.
With it they are those of cifar_student.py:small, whose teachers and caches are used where the workdir
has them; each comparison takes up to 45 minutes on 2 cores.
"""

import ml_collections


def get_config(arg=''):
    chosen = [preset for preset in arg.split(',') if preset]
    for preset in chosen:
        if preset not in (*CLAIMS, 'small'):
            known = ', '.join((*CLAIMS, 'small'))
            raise ValueError(f'unknown preset {preset!r}; this file has {known}')
    claims = [preset for preset in chosen if preset in CLAIMS] or ['losses']
    if len(claims) > 1:
        raise ValueError(f'{" and ".join(claims)} are comparisons of their own; name one')
    nets = SMALL if 'small' in chosen else WHOLE
    config = common(nets)
    CLAIMS[claims[0]](config, nets)
    return config


# Settings of the nets: whole, and as in cifar_student.py:small.
WHOLE = ml_collections.FrozenConfigDict(
    {
        'data': (20000, 10000, 20000),  # train, validation, unlabelled
        'teacher': '128c5-p3/2-128c5-p3/2-128c5-p3/2-1k-d.5',
        'teachers': 4,
        'teacher_train': {'epochs': 80, 'learning_rate': 0.02, 'weight_decay': 5e-4},
        'student': '128c5-p3/2-1200L-30k',
        'plain_student': '128c5-p3/2-30k',
        'dropout_student': 'd.2-128c5-p3/2-1200L-30k-d.5',
        'labels': {'epochs': 160, 'learning_rate': 0.01, 'weight_decay': 0.0},
        'mimic': {'epochs': 80, 'learning_rate': 0.03},
        'losses': {},
        'images': 40000,  # train and unlabelled
        'evaluation_steps': 1,
    }
)
SMALL = ml_collections.FrozenConfigDict(
    {
        'data': (5000, 5000, 35000),
        'teacher': '32c3-bn-p2-64c3-bn-p2-128c3-bn-p2',
        'teachers': 3,
        'teacher_train': {'epochs': 40, 'learning_rate': 0.05, 'weight_decay': 5e-4},
        'student': '32c5-p2-200L-2000',
        'plain_student': '32c5-p2-2000',
        'dropout_student': 'd.1-32c5-p2-200L-2000-d.2',
        'labels': {'epochs': 48, 'learning_rate': 0.1, 'weight_decay': 5e-4},
        'mimic': {'epochs': 6, 'learning_rate': 0.3},
        # On validation, 1.8 epochs each (%): logits .1 → 64.9, .3 → 66.1; standardised .1 → 64.7,
        # .3 → 66.1; probabilities .03 → 54.2, .1 → 62.9, .3 → 56.6; KL .05 → 64.1, .1 → 66.5,
        # .3 → 63.4; KL at temperature 3 .1 → 65.9, .3 → 66.5; Hinton's .1 → 65.9, .3 → 66.7.
        # Where 1 was tried (standardised, probabilities) it diverged.
        'losses': {'probabilities': {'learning_rate': 0.1}, 'kl': {'learning_rate': 0.1}},
        'images': 40000,
        'evaluation_steps': 200,
    }
)


def common(nets):
    """Data, views and the ensemble with its cache."""
    config = ml_collections.ConfigDict()
    if nets is WHOLE:
        config.presets = {'losses,small': 'and the like take up to 45 minutes on 2 CPU cores'}
    labelled, validation, unlabelled = nets.data
    config.data = {
        'name': 'cifar10',
        'root': '',
        'train': labelled,
        'validation': validation,
        'test': 0,
        'unlabelled': unlabelled,
        'label_noise': 0.0,
        'seed': 0,
        'preprocess': 'image',
    }
    config.views = {'seed': 0, 'mirror': True, 'shift': 4, 'padding': 'reflect'}
    config.members = {
        f'cnn_{number}': {
            'model': nets.teacher,
            'seed': number,
            'subset': 1.0,
            'train': train(**nets.teacher_train),
        }
        for number in range(1, nets.teachers + 1)
    }
    config.logits = {'ecnn': cache(tuple(config.members), nets.mimic.epochs)}
    config.students = {}
    config.report = {
        'ensemble': 'ecnn',
        'order': (),
        'x_label': '',
        'by_time': False,
        'latency': False,
        'rows': {},
    }
    config.run = {
        'log_steps': 50,
        'evaluation_steps': nets.evaluation_steps,
        'checkpoint_steps': nets.evaluation_steps,
        'steps_per_call': 0,
        'model_axis': 1,
        'placement': 'auto',
        'evaluation_batch_size': 500,
    }
    show(config, 'ecnn', 'logits.ecnn', 'ensemble')
    return config


def losses(config, nets):
    """Section 2.2."""
    for name, (label, changes) in LOSSES.items():
        settings = {**nets.mimic, **nets.losses.get(name, {})}
        config.students[name] = mimic(nets.student, settings, **changes)
        show(config, name, f'students.{name}', label)


LOSSES = {
    'logits': ('logits (equation 1)', {'kind': 'logits'}),
    'standardised': ('standardised logits', {'kind': 'standardised_logits'}),
    'probabilities': ('probabilities, squared error', {'kind': 'probabilities'}),
    'kl': ('KL divergence', {'kind': 'kl'}),
    'kl_3': ('KL divergence, temperature 3', {'kind': 'kl', 'temperature': 3.0}),
    # The hard tenth is of the labelled images alone.
    'hinton': (
        'Hinton: .9 soft at temperature 3, .1 hard',
        {'kind': 'hinton', 'temperature': 3.0, 'soft_weight': 0.9},
    ),
}


def bottleneck(config, nets):
    """Section 2.3."""
    config.students = {
        'with': mimic(nets.student, nets.mimic),
        'without': mimic(nets.plain_student, nets.mimic),
    }
    show(config, 'with', 'students.with', 'with bottleneck')
    show(config, 'without', 'students.without', 'without')
    show(config, 'absorbed', 'students.with', 'multiplied away', absorbed=True)
    config.report.by_time = config.report.latency = True


def transfer(config, nets):
    """Section 3.2."""
    labelled, _, unlabelled = nets.data
    config.report.x_label = 'transfer images'
    for size in sorted((*SIZES, labelled, unlabelled)):
        of_a_part(config, nets, f'unseen_{size}', f'{size} images', size, curve=UNSEEN)
    seen = f'{labelled} images, seen by the teachers'
    of_a_part(config, nets, 'seen', seen, labelled, 'train', 'the teachers were trained on them')
    config.students['all'] = mimic(nets.student, nets.mimic)
    show(config, 'all', 'students.all', f'all {nets.images} images')


SIZES = (2500, 10000)
UNSEEN = 'the teachers never saw them'


def of_a_part(config, nets, name, label, size, split='unlabelled', curve=''):
    """A student of the first `size` images of a split, for as many steps as one of all images.

    Whatever the size, it sees the same number of views of them, over and over if need be.
    """
    passes = round(nets.mimic.epochs * nets.images / size)
    config.logits[name] = cache(config.logits.ecnn.members, nets.mimic.epochs, (split,), size)
    settings = {**nets.mimic, 'epochs': passes}
    config.students[name] = mimic(nets.student, settings, logits=name)
    show(config, name, f'students.{name}', label, curve=curve, x=size)


def overfitting(config, nets):
    """Figure 2."""
    for member in config.members.values():  # the teachers of the other claims, which had views
        member.views = config.views.to_dict()
    config.views.update({'mirror': False, 'shift': 0})
    config.logits.ecnn.views = 1
    steady = {'schedule': 'constant', 'warmup': 0.0, 'weight_decay': 0.0}
    labels, logits = (
        {**settings, **steady, 'learning_rate': settings.learning_rate / 2}
        for settings in (nets.labels, nets.mimic)
    )
    plain = {**mimic(nets.student, labels, 'cross_entropy', logits=''), 'target': 'labels'}
    dropout = {
        **mimic(nets.dropout_student, labels, 'cross_entropy', logits=''),
        'target': 'labels',
    }
    config.students = {'labels': plain, 'dropout': dropout, 'mimic': mimic(nets.student, logits)}
    for student in config.students.values():
        student.seeds = (0, 1)
    show(config, 'labels', 'students.labels', 'on labels')
    show(config, 'dropout', 'students.dropout', 'on labels, dropout')
    show(config, 'mimic', 'students.mimic', 'mimicking')


def noise(part):
    """Section 5.1: one teacher, and students of it and of its labels."""

    def claim(config, nets):
        config.data.label_noise = part
        for name in list(config.members)[1:]:
            del config.members[name]
        config.logits = {'cnn': cache(('cnn_1',), nets.mimic.epochs)}
        config.students = {
            'labels': {
                **mimic(nets.student, nets.labels, kind='cross_entropy', logits=''),
                'target': 'labels',
            },
            'mimic': mimic(nets.student, nets.mimic, logits='cnn'),
        }
        config.report.ensemble, config.report.order = 'cnn', ()
        del config.report.rows.ecnn
        show(config, 'cnn', 'members.cnn_1', 'teacher')
        show(config, 'labels', 'students.labels', 'student on labels')
        show(config, 'mimic', 'students.mimic', 'student mimicking')

    return claim


CLAIMS = {
    'losses': losses,
    'bottleneck': bottleneck,
    'transfer': transfer,
    'overfitting': overfitting,
    'noise10': noise(0.1),
    'noise30': noise(0.3),
}
PRESETS = (*CLAIMS, *(f'{claim},small' for claim in CLAIMS))


def show(config, name, source, label, **changes):
    """Adds a row to the report."""
    config.report.order += (name,)
    config.report.rows[name] = {
        'source': source,
        'label': label,
        'absorbed': False,
        'curve': '',
        'x': 0.0,
        **changes,
    }


def cache(members, views, transfer=('train', 'unlabelled'), limit=0):
    """The ensemble's logits on `views` views of the first `limit` transfer images, 0 for all."""
    return {
        'members': members,
        'transfer': transfer,
        'limit': limit,
        'views': views,
        'dtype': 'float16',
    }


def mimic(model, settings, kind='logits', logits='ecnn', **loss):
    """A student on the logits of a cache, three seeds."""
    return {
        'model': model,
        'budget': 0.0,
        'target': 'logits',
        'logits': logits,
        'loss': {'kind': kind, 'scale': 0.5, 'temperature': 1.0, 'soft_weight': 0.5, **loss},
        'train': train(**{'clip_norm': 1.0, **settings}),
        'seeds': (0, 1, 2),
    }


def train(**changes):
    """Settings of one training run; `changes` replace the common ones."""
    return {
        'epochs': 80,
        'batch_size': 128,
        'learning_rate': 0.02,
        'schedule': 'cosine',
        'warmup': 0.05,
        'momentum': 0.9,
        'weight_decay': 0.0,
        'clip_norm': 0.0,
        'dtype': 'float32',
        'init_scale': 1.0,
        **changes,
    }
