"""CIFAR-10: the claims of Ba & Caruana's text on the method, each tested by a comparison.

    python -m mimic_jax.main --config=experiments/cifar_claims.py:losses,small

- `:losses` (section 2.2): the same student on raw logits, standardised logits, probabilities, KL
  divergence and Hinton's soft and hard mix. The paper finds that logits win.
- `:bottleneck` (section 2.3): the student with and without its linear layer, and the first with the
  layer multiplied away afterwards. It compares accuracy by step and by time (time.png), memory, latency.
- `:transfer` (section 3.2): accuracy against the number of unlabelled transfer images. Also transfer on
  images that the teachers were trained on, against as many that they never saw. All students see equally
  many views, and take the same number of steps as nearly as whole epochs allow.
- `:overfitting` (section 5.1, Figure 2): the net on labels, the same with dropout, and the mimic, at a
  constant rate and without augmentation. accuracy.png has their validation accuracy by step.
- `:noise10`, `:noise30` (section 5.1): with 10% or 30% of the training labels replaced by other
  classes, the student on those labels against the mimic of a teacher trained on the same labels.
- `:targets` (section 5.1): the student on labels, and on its teachers' chosen classes, probabilities and
  logits, all on the same labelled images. The paper holds that each teaches more than the one before.

With `:small` the nets are those of cifar_student.py:small, whose teachers and caches are used where the
workdir has them. Each comparison then takes up to 45 minutes on 2 cores. Without it the nets are those of
cifar_student.py and want a GPU or TPU; nobody has run them here. All losses then share one rate, though at
the small scale KL and probabilities want a third of the others'. `--phase=rates` tries three rates for each
student once the cache is there; `--config.students.NAME.train.learning_rate` sets one. The same gives the
net without a bottleneck a rate of its own.
"""

from mimic_jax.config import cifar, presets

WHOLE = {  # cifar_student.py's, with fewer labels
    'data': {'train': 20_000, 'validation': 10_000, 'unlabelled': 20_000},
    'teachers': cifar.teachers(),
    'student': '128c5-p3/2-1200L-30k',
    'plain_student': '128c5-p3/2-30k',
    'dropout_student': 'd.2-128c5-p3/2-1200L-30k-d.5',
    'on_labels': {**cifar.student_train(), 'epochs': 80},  # twice as many, for half the images
    'on_logits': cifar.student_train(),
    'losses': {},  # training settings of single losses; none was tried at this size
    'others': {'presets': ('losses,small and the like take up to 45 minutes on 2 CPU cores',)},
}
SMALL = {  # cifar_student.py:small's
    'data': cifar.small_data(),
    'teachers': cifar.small_teachers(),
    'student': cifar.small_model(),
    'plain_student': '32c5-p2-2000',
    'dropout_student': 'd.1-32c5-p2-200L-2000-d.2',
    'on_labels': cifar.small_on_labels(),
    'on_logits': cifar.small_on_logits(),
    # Validation accuracy in % after 1.8 epochs, by rate: logits .1 64.9, .3 66.1; standardised .1 64.7,
    # .3 66.1; probabilities .03 54.2, .1 62.9, .3 56.6; KL .05 64.1, .1 66.5, .3 63.4; KL at
    # temperature 3 .1 65.9, .3 66.5; Hinton's .1 65.9, .3 66.7. Rate 1 was tried for standardised
    # logits and for probabilities, and diverged.
    'losses': {'probabilities': {'learning_rate': 0.1}, 'kl': {'learning_rate': 0.1}},
    'others': {'run': {'evaluation_steps': 200, 'checkpoint_steps': 200}},
}
IMAGES = 40_000  # training and unlabelled images together, whole and small
PARTS = (2500, 10_000)  # of the unlabelled images


def get_config(arg=''):
    chosen = presets.chosen(arg, (*CLAIMS, 'small'))
    claim = CLAIMS[presets.one_of(chosen, CLAIMS, 'losses')]
    nets = SMALL if 'small' in chosen else WHOLE
    config = {
        'data': cifar.data(**nets['data']),
        'views': cifar.views(),
        'members': nets['teachers'],
        'logits': {'ecnn': cifar.cache(nets)},
    }
    return presets.build({**config, **nets['others'], **claim(nets)})


def losses(nets):
    """Section 2.2."""
    students = {}
    for name, (_, loss) in presets.LOSSES.items():
        train = {**nets['on_logits'], **nets['losses'].get(name, {})}
        students[name] = cifar.mimic(nets['student'], loss=loss, **train)
    labels = {name: label for name, (label, _) in presets.LOSSES.items()}
    return {'students': students, 'report': presets.report('ecnn', rows(labels))}


def bottleneck(nets):
    """Section 2.3."""
    students = {
        'bottleneck': cifar.mimic(nets['student'], **nets['on_logits']),
        'plain': cifar.mimic(nets['plain_student'], **nets['on_logits']),
    }
    shown = rows({'bottleneck': 'with bottleneck', 'plain': 'without'})
    shown['absorbed'] = presets.row('students.bottleneck', 'multiplied away', absorbed=True)
    report = presets.report('ecnn', shown, by_time=True, latency=True)
    return {'students': students, 'report': report}


def transfer(nets):
    """Section 3.2: a student for each part of the images, and one for all of them."""
    logits, students, shown = {'ecnn': cifar.cache(nets)}, {}, rows({})

    def add(name, size, split, curve, seen=''):
        logits[name] = cifar.cache(nets, transfer=(split,), limit=size)
        passes = round(nets['on_logits']['epochs'] * IMAGES / size)  # equal steps for all sizes
        train = {**nets['on_logits'], 'epochs': passes}
        students[name] = cifar.mimic(nets['student'], name, **train)
        shown[name] = presets.row(f'students.{name}', f'{size} images{seen}', curve=curve, x=size)

    labelled, unlabelled = nets['data']['train'], nets['data']['unlabelled']
    for size in sorted({*PARTS, labelled, unlabelled}):
        add(f'unseen_{size}', size, 'unlabelled', 'the teachers never saw them')
    add('seen', labelled, 'train', 'the teachers were trained on them', ', seen by the teachers')
    students['all'] = cifar.mimic(nets['student'], **nets['on_logits'])
    shown['all'] = presets.row('students.all', f'all {IMAGES} images')
    report = presets.report('ecnn', shown, x_label='transfer images')
    return {'logits': logits, 'students': students, 'report': report}


def overfitting(nets):
    """Figure 2."""
    steady = {'schedule': 'constant', 'warmup': 0.0, 'weight_decay': 0.0}
    on_labels, on_logits = (
        {**train, **steady, 'learning_rate': train['learning_rate'] / 2}
        for train in (nets['on_labels'], nets['on_logits'])
    )
    students = {
        'labels': cifar.on_labels(nets['student'], **on_labels),
        'dropout': cifar.on_labels(nets['dropout_student'], **on_labels),
        'mimic': cifar.mimic(nets['student'], **on_logits),
    }
    teachers = nets['teachers']
    labels = {'labels': 'on labels', 'dropout': 'on labels, dropout', 'mimic': 'mimicking'}
    return {
        'students': {name: {**student, 'seeds': (0, 1)} for name, student in students.items()},
        'report': presets.report('ecnn', rows(labels)),
        # Students have no views. Teachers keep theirs, so that they are the other claims' teachers.
        'views': {},
        'members': {name: {**net, 'views': cifar.views()} for name, net in teachers.items()},
        'logits': {'ecnn': cifar.cache(nets, views=1)},
    }


def noise(nets, part):
    """Section 5.1: one teacher, a student that mimics it, and a student on the same labels."""
    shown = {
        'cnn': presets.row('members.cnn_1', 'teacher'),
        'labels': presets.row('students.labels', 'student on labels'),
        'mimic': presets.row('students.mimic', 'student mimicking'),
    }
    return {
        'data': cifar.data(**nets['data'], label_noise=part),
        'members': {'cnn_1': nets['teachers']['cnn_1']},
        'logits': {'cnn': cifar.cache(nets, members=('cnn_1',))},
        'students': {
            'labels': cifar.on_labels(nets['student'], **nets['on_labels']),
            'mimic': cifar.mimic(nets['student'], 'cnn', **nets['on_logits']),
        },
        'report': presets.report('cnn', shown),
    }


def targets(nets):
    """Section 5.1: which of a teacher's answers help a student most, on the labelled images alone."""
    train = nets['on_labels']
    faster = {**train, 'learning_rate': nets['on_logits']['learning_rate']}
    kinds = {
        'classes': ("the teachers' classes", 'teacher_labels', train),
        'probabilities': ("the teachers' probabilities, KL", 'kl', train),
        'logits': ("the teachers' logits", 'logits', faster),
    }
    students = {'labels': cifar.on_labels(nets['student'], **train)}
    for name, (_, kind, how) in kinds.items():
        students[name] = cifar.mimic(nets['student'], loss={'kind': kind}, **how)
    labels = {'labels': 'labels', **{name: label for name, (label, *_) in kinds.items()}}
    return {
        'logits': {'ecnn': cifar.cache(nets, transfer=('train',), views=train['epochs'])},
        'students': students,
        'report': presets.report('ecnn', rows(labels)),
    }


CLAIMS = {
    'losses': losses,
    'bottleneck': bottleneck,
    'transfer': transfer,
    'overfitting': overfitting,
    'targets': targets,
    'noise10': lambda nets: noise(nets, 0.1),
    'noise30': lambda nets: noise(nets, 0.3),
}
PRESETS = (*CLAIMS, *(f'{claim},small' for claim in CLAIMS))


def rows(labels):
    """The ensemble's row, then those of students, by name."""
    students = {name: presets.row(f'students.{name}', label) for name, label in labels.items()}
    return {'ecnn': presets.row('logits.ecnn', 'ensemble'), **students}
