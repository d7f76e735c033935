"""CIFAR-10: what Ba & Caruana leave to future work (section 6), each as a comparison.

    python -m mimic_jax.main --config=experiments/cifar_future.py:dense,small
    python -m mimic_jax.main --config=experiments/cifar_future.py:sizes,small
    python -m mimic_jax.main --config=experiments/cifar_future.py:direct,labels,small
    python -m mimic_jax.main --config=experiments/cifar_future.py:direct,mimic,small
    python -m mimic_jax.main --config=experiments/cifar_future.py:direct,small

- `:dense`: students with neither convolution nor pooling on more and more images that a CNN ensemble
  labels, one hidden layer behind a bottleneck and two hidden layers; the same nets on labels. The paper
  asks whether 80 million Tiny Images would do.
- `:sizes`: students of 2 to 4 layers ahead of the output, at three numbers of parameters: accuracy,
  parameters, sequential layers and latency beside the ensemble's. curves.png has a curve a depth.
- `:direct`: a shallow net trained on labels as well as we can, against the mimic with as many trials.
  With `:labels`, as in `:direct,labels`, it searches rate, weight decay, dropout, label smoothing, mixup
  and epochs of the net on labels, with `:mimic` rate, momentum, weight decay and epochs of the mimic, both
  on the validation split, both up to three times cifar_student.py's epochs. `:direct` alone tabulates the
  three best of each, behind cifar_student.py's own two students.

Nobody has run any of them yet. With `:small` the ensemble is cifar_student.py:small's and is used where the
workdir has it, and so is its cache. By the times of that experiment's nets each command then takes less
than an hour on 2 cores. Rates of `:dense` and `:sizes` are taken from nets of one convolution or one
bottleneck, and not tuned: `--phase=rates` tries three for each net. Without `:small` the nets are those of
cifar_student.py and want a GPU or TPU. `:dense` then reads further images from `config.data.transfer`, by
default the file unlabelled.npz.
"""

from mimic_jax.config import cifar, presets

WHOLE = {
    'data': {'train': 40_000, 'validation': 10_000},
    'teachers': cifar.teachers(),
    'student': '128c5-p3/2-1200L-30k',
    'dropout': '128c5-p3/2-1200L-30k-d{d:.3f}',
    'on_labels': cifar.student_train(),
    'on_logits': cifar.student_train(),
    'dense': {'one': ('1200L-30k', 'bottleneck + 1 hidden'), 'two': ('4k-4k', '2 hidden')},
    'dense_train': {'epochs': 40, 'learning_rate': 0.05},
    'budgets': {'1M': 1e6, '3M16': 3.16e6, '10M': 10e6},
    'layers': {
        2: '64c5-p3/2-?',
        3: '64c5-p3/2-64c5-p3/2-?',
        4: '64c5-p3/2-64c5-p3/2-128c5-p3/2-?',
    },
    'trials': 20,
    'others': {'presets': ('dense,small and the like take up to an hour on 2 CPU cores',)},
}
SMALL = {
    'data': cifar.small_data(),
    'teachers': cifar.small_teachers(),
    'student': cifar.small_model(),
    'dropout': cifar.small_model() + '-d{d:.3f}',
    'on_labels': cifar.small_on_labels(),
    'on_logits': cifar.small_on_logits(),
    'dense': {'one': ('200L-2000', 'bottleneck + 1 hidden'), 'two': ('500-500', '2 hidden')},
    'dense_train': {'epochs': 24, 'learning_rate': 0.1},
    'budgets': {'100k': 1e5, '320k': 3.2e5, '1M': 1e6},
    'layers': {
        2: '8c5-p3/2-?',
        3: '16c5-p2-16c5-p2-?',
        4: '16c5-p2-16c5-p2-32c3-p2-?',
    },
    'trials': 8,
    'others': {'run': {'evaluation_steps': 200, 'checkpoint_steps': 200}},
}
# Of the transfer set of `:dense,small`, its labelled images first.
SIZES = (5000, 10_000, 20_000, 40_000)
BEST = (1, 2, 3)  # ranks of each search that `:direct` tabulates


def get_config(arg=''):
    chosen = presets.chosen(arg, (*PARTS, *SIDES, 'small'))
    part = presets.one_of(chosen, PARTS, 'dense')
    side = presets.one_of(chosen, SIDES, '')
    small = 'small' in chosen
    nets = SMALL if small else WHOLE
    config = {
        'data': cifar.data(**nets['data']),
        'views': cifar.views(),
        'members': nets['teachers'],
        'logits': {'ecnn': cifar.cache(nets)},
    }
    made = searched(nets, side, small) if side else PARTS[part](nets, small)
    return presets.build({**config, **nets['others'], **made})


def dense(nets, small):
    """Students without convolution on transfer sets of several sizes, in equally many steps."""
    train, most = nets['dense_train'], max(SIZES)
    sets = {f'images_{size}': (f'{size} images', {'limit': size}) for size in SIZES[:-1]}
    sets['all'] = (f'all {most} images', {})
    if not small:
        sets = {
            'train': ('the training images', {'transfer': ('train',)}),
            'all': ('these and the others', {}),
        }
    logits = {name: cifar.cache(nets, **settings) for name, (_, settings) in sets.items()}
    students, shown = {}, {}
    for net, (model, words) in nets['dense'].items():
        students[f'{net}_labels'] = cifar.on_labels(model, **{**nets['on_labels'], **train})
        if small:
            students[f'{net}_labels']['train']['epochs'] *= most // nets['data']['train']
        shown[f'{net}_labels'] = presets.row(f'students.{net}_labels', f'{words}, on labels')
        for name, (what, settings) in sets.items():
            passes = train['epochs'] * most // settings.get('limit', most)
            how = {**train, 'epochs': passes}
            students[f'{net}_{name}'] = cifar.mimic(model, name, **how)
            point = {'curve': words, 'x': settings.get('limit', most)} if small else {}
            shown[f'{net}_{name}'] = presets.row(
                f'students.{net}_{name}', f'{words}, {what}', **point
            )
    further = {} if small else {'transfer': {'kind': 'npz', 'root': 'unlabelled.npz'}}
    return {
        'data': cifar.data(**nets['data'], **further),
        'logits': logits,
        'students': students,
        'report': report('all', shown, x_label='transfer images'),
    }


def sizes(nets, small):
    """Students of 2 to 4 layers at several numbers of parameters."""
    students, shown = {}, {}
    for layers, model in nets['layers'].items():
        for budget, parameters in nets['budgets'].items():
            name, curve = f'layers_{layers}_{budget}', f'{layers} layers'
            students[name] = {**cifar.mimic(model, **nets['on_logits']), 'budget': parameters}
            students[name]['seeds'] = (0, 1)
            label = f'{curve}, {budget}'
            shown[name] = presets.row(f'students.{name}', label, curve=curve, x=parameters)
    shown['cnn'] = presets.row('members.cnn_1', 'one teacher', line=True)
    return {
        'students': students,
        'report': report('ecnn', shown, x_label='parameters', latency=True),
    }


def direct(nets, small):
    """The best nets on labels and the best mimics, each of a search of equally many trials."""
    students = {
        'labels': cifar.on_labels(nets['student'], **nets['on_labels']),
        'mimic': cifar.mimic(nets['student'], **nets['on_logits']),
    }
    shown = {
        'labels': presets.row('students.labels', "cifar_student.py's net on labels"),
        'mimic': presets.row('students.mimic', "cifar_student.py's mimic"),
    }
    for side, words in SIDES.items():
        for rank in BEST:
            name = f'{side}_{rank}'
            students[name] = {'from_study': {'study': study(side, small), 'rank': rank}}
            shown[name] = presets.row(f'students.{name}', f'{words}, number {rank} on validation')
    return {'students': students, 'report': report('ecnn', shown)}


def searched(nets, side, small):
    """The search of one side of `direct`."""
    on_labels, on_logits = nets['on_labels'], nets['on_logits']
    if side == 'labels':
        space = {
            'rate': presets.logarithmic(0.03, 0.3),
            'decay': presets.logarithmic(1e-5, 2e-3),
            'd': {'low': 0.0, 'high': 0.4},
            'smoothing': {'low': 0.0, 'high': 0.2},
            'mixup': presets.logarithmic(0.05, 1.0),
        }
        sets = {'smoothing': 'train.label_smoothing', 'mixup': 'views.mixup'}
        student = cifar.on_labels(nets['dropout'], **on_labels)
    else:
        space = {
            'rate': presets.logarithmic(0.05, 1.0),
            'decay': presets.logarithmic(1e-6, 1e-3),
            'momentum': presets.logarithmic(0.8, 0.97),
        }
        sets = {'momentum': 'train.momentum'}
        student = cifar.mimic(nets['student'], **on_logits)
    epochs = student['train']['epochs']
    space['epochs'] = presets.logarithmic(epochs, 3 * epochs, int=True)
    sets |= {'rate': 'train.learning_rate', 'decay': 'train.weight_decay', 'epochs': 'train.epochs'}
    found = {f'{side}_{rank}': {'from_study': {'rank': rank}} for rank in BEST}
    shown = {
        name: presets.row(f'students.{name}', f'{SIDES[side]}, number {name[-1]} on validation')
        for name in found
    }
    return {
        'search': {
            'space': space,
            'sets': sets,
            'student': {**student, 'seeds': (0,)},
            'trials': nets['trials'],
            'startup': nets['trials'] // 2,
            'study': study(side, small),
        },
        'students': found,
        'report': report('ecnn', shown),
    }


PARTS = {'dense': dense, 'sizes': sizes, 'direct': direct}
SIDES = {'labels': 'searched on labels', 'mimic': 'searched mimic'}
PRESETS = tuple(
    f'{part}{size}'
    for size in ('', ',small')
    for part in (*PARTS, *(f'direct,{side}' for side in SIDES))
)


def study(side, small):
    return f'cifar_future_{side}' + ('_small' if small else '')


def report(ensemble, shown, **settings):
    """The ensemble's row, then others."""
    first = presets.row(f'logits.{ensemble}', 'ensemble', line=bool(settings))
    return presets.report(ensemble, {'ensemble': first, **shown}, **settings)
