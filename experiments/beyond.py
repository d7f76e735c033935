"""CIFAR-10: what neither paper measured of mimicking, each as a comparison over one ensemble's logits.

    python -m mimic_jax.main --config=experiments/beyond.py:losses,small
    python -m mimic_jax.main --config=experiments/beyond.py:losses,averaged,small
    python -m mimic_jax.main --config=experiments/beyond.py:views,small
    python -m mimic_jax.main --config=experiments/beyond.py:bytes,small
    python -m mimic_jax.main --config=experiments/beyond.py:cost,small
    python -m mimic_jax.main --config=experiments/beyond.py:dense --config.data.transfer.root=images.npz

- `:losses`: nine losses on one cache, each for a net without convolutions, one with one and one with three.
  With `:averaged` the teachers' logits are means over six moved copies of each view.
- `:views`: a mimic that passes equally often over 1, 2, 4 and more distinct views. With as many views as
  passes no view is seen twice, as from a live teacher. `:mixup` mixes the images of every view.
- `:bytes`: the cache as floats, in bytes, and its largest logits alone: accuracy against bytes a row.
- `:cost`: accuracy against the FLOPs of the whole run, teachers and their answers with it: one net on
  labels, on one teacher's logits and on the ensemble's, trained for longer and longer. Each pass sees a
  view of its own, so these mimics cost what a live teacher's would; the last curve passes over the least
  cache again and again. `report.json` has the FLOPs as `whole_flops`, `work.png` draws them.
- `:dense`: nets without convolutions of 10 million parameters, on views with mixup and without, of the
  training images and of those that `config.data.transfer` names.

With `:small` data and ensemble are those of cifar_student.py:small, the students those of
urban_students.py:small. Without `:small` the ensemble is that of urban_students.py:fast, and the students
have a million parameters. Nobody has run any of them yet. By its plan `:losses,small` takes 1.5 hours on 2
cores. Rates are guesses from cifar_claims.py, by loss alone: `--phase=rates` tries three for each net and
loss, and `--config.students.NAME.train.learning_rate` sets one.
"""

from mimic_jax.config import cifar, presets, urban

KINDS = ('dense', 'one', 'three')  # convolutions
WHOLE = {
    'data': {'train': 40_000, 'validation': 10_000},
    'teachers': urban.fast_members(3),
    'students': ('?-?', '80c5-p3-?L-1k', '70c5-p2-70c5-p2-70c5-p2-?'),
    'budget': 1e6,
    'on_labels': cifar.student_train(),
    'on_logits': cifar.student_train(),
    'views': (1, 2, 4, 8, 16, 32, 64, 160),
    'epochs': (10, 40, 160),  # on labels, of `:cost`
    'passes': (10, 40, 160),  # on logits
    'others': {'presets': ('losses,small and the like are for a CPU',)},
}
SMALL = {
    'data': cifar.small_data(),
    'teachers': cifar.small_teachers(),
    'students': ('?L-1k', '12c5-p3-?L-400', '16c5-p2-24c5-p2-32c5-p2-?'),
    'budget': 320e3,
    'on_labels': cifar.small_on_labels(),
    'on_logits': cifar.small_on_logits(),
    'views': (1, 2, 4, 8, 24),
    'epochs': (24, 96, 480),  # of 5,000 images
    'passes': (2, 6, 24),  # over 40,000
    'others': {'run': {'evaluation_steps': 200, 'checkpoint_steps': 200}},
}
SEEDS = (0, 1, 2, 3, 4)
# A loss, its label, its settings, and its rate over that of logits.
LOSSES = {
    'logits': ('logits', {'kind': 'logits'}, 1.0),
    'standardised': ('standardised logits', {'kind': 'standardised_logits'}, 1.0),
    'z_scores': ('z-scores', {'kind': 'z_scores', 'temperature': 2.0}, 1 / 3),
    'kl_1': ('KL', {'kind': 'kl'}, 1 / 3),
    'kl_2': ('KL, temperature 2', {'kind': 'kl', 'temperature': 2.0}, 1.0),
    'kl_4': ('KL, temperature 4', {'kind': 'kl', 'temperature': 4.0}, 1.0),
    'dkd': ('DKD', {'kind': 'dkd', 'temperature': 4.0}, 1 / 3),
    'dist': ('DIST', {'kind': 'dist', 'temperature': 4.0}, 1 / 3),
    'hinton': ("Hinton's mix", {'kind': 'hinton', 'temperature': 4.0, 'soft_weight': 0.9}, 1.0),
}
PACKED = {  # a cache's form, and its bytes a row of ten logits
    'float32': ({'dtype': 'float32'}, 40),
    'float16': ({'dtype': 'float16'}, 20),
    'int8': ({'dtype': 'int8'}, 14),
    **{f'top_{top}': ({'dtype': 'topk', 'top': top}, 3 * top + 2) for top in (1, 2, 3, 5)},
}


CACHES = {  # what presets change in every cache
    'averaged': {'tta': 'mirror_shift'},
    'mixup': {'augmentation': {'mixup': 1.0}},
}


def get_config(arg=''):
    chosen = presets.chosen(arg, (*PARTS, *CACHES, 'small'))
    part = presets.one_of(chosen, PARTS, 'losses')
    nets = SMALL if 'small' in chosen else WHOLE
    nets = {**nets, 'cache': [CACHES[name] for name in chosen if name in CACHES]}
    config = {
        'data': cifar.data(**nets['data']),
        'views': cifar.views(),
        'members': nets['teachers'],
        'logits': {'ecnn': cache(nets)},
    }
    return presets.build({**config, **nets['others'], **PARTS[part](nets)})


def losses(nets):
    """Nine losses for three kinds of nets, on one cache."""
    students, shown = {}, {}
    for kind, model in zip(KINDS, nets['students'], strict=True):
        for name, (label, loss, factor) in LOSSES.items():
            rate = round(nets['on_logits']['learning_rate'] * factor, 3)
            students[f'{kind}_{name}'] = mimic(nets, model, 'ecnn', loss, learning_rate=rate)
            what = f'{kind}, {label}' if kind == 'dense' else f'{kind} conv, {label}'
            shown[f'{kind}_{name}'] = presets.row(f'students.{kind}_{name}', what)
    return {'students': students, 'report': report('ecnn', shown)}


def views(nets):
    """One net on more and more distinct views, in equally many steps."""
    _, model, _ = nets['students']
    passes = max(nets['views'])
    logits, students, shown = {}, {}, {}
    for count in nets['views']:
        name, live = f'views_{count}', ', none seen twice' if count == passes else ''
        logits[name] = cache(nets, views=count)
        students[name] = mimic(nets, model, name, epochs=passes)
        label = f'{count} views{live}' if count > 1 else '1 view'
        shown[name] = presets.row(f'students.{name}', label, curve='mimic', x=count)
    shown = report(f'views_{passes}', shown, x_label='distinct views')
    return {'logits': logits, 'students': students, 'report': shown}


def packed(nets):
    """One net on one ensemble's logits in several forms."""
    _, model, _ = nets['students']
    logits, students, shown = {}, {}, {}
    for name, (form, size) in PACKED.items():
        logits[name] = cache(nets, **form)
        students[name] = mimic(nets, model, name)
        label = f'{name.replace("_", " ")}, {size} bytes a row'
        shown[name] = presets.row(f'students.{name}', label, curve='mimic', x=size)
    shown = report('float32', shown, x_label='bytes a row')
    return {'logits': logits, 'students': students, 'report': shown}


def cost(nets):
    """One net on labels, on a teacher's logits and on the ensemble's, for longer and longer."""
    _, model, _ = nets['students']
    few, *_ = nets['passes']
    one = {**nets, 'teachers': tuple(nets['teachers'])[:1]}
    logits, students, shown = {}, {}, {}

    def add(name, curve, x, student):
        students[name] = {**student, 'budget': nets['budget'], 'seeds': SEEDS[:3]}
        label = f'{curve}, {x} {"epochs" if curve == "labels" else "passes"}'
        shown[name] = presets.row(f'students.{name}', label, curve=curve, x=x)

    for epochs in nets['epochs']:
        student = cifar.on_labels(model, **{**nets['on_labels'], 'epochs': epochs})
        add(f'labels_{epochs}', 'labels', epochs, student)
    for kind, teachers, curve in (('one', one, 'one teacher'), ('ecnn', nets, 'ensemble')):
        for passes in nets['passes']:
            name = f'{kind}_{passes}'
            logits[name] = cache(teachers, views=passes)
            add(name, curve, passes, mimic(nets, model, name, epochs=passes))
    for passes in nets['passes'][1:]:
        student = mimic(nets, model, f'ecnn_{few}', epochs=passes)
        add(f'again_{passes}', f'ensemble, {few} views', passes, student)
    shown = report(f'ecnn_{few}', shown, x_label='epochs or passes')
    return {'logits': logits, 'students': students, 'report': shown}


def dense(nets):
    """The best net without convolutions of 10 million parameters, with mixup and without."""
    images = {'transfer': {'kind': 'npz', 'root': 'unlabelled.npz'}}
    logits = {'plain': cache(nets), 'mixed': cache(nets, **CACHES['mixup'])}
    models = {
        'one': ('?L-12k', '1 hidden'),
        'two': ('?-?', '2 hidden'),
        'three': ('?-?-?', '3 hidden'),
    }
    students, shown = {}, {}
    for net, (model, words) in models.items():
        for kind in logits:
            name = f'{net}_{kind}'
            students[name] = {**mimic(nets, model, kind, epochs=160), 'budget': 10e6}
            shown[name] = presets.row(f'students.{name}', f'{words}, {kind}')
    return {
        'data': cifar.data(**nets['data'], **images),
        'logits': logits,
        'students': students,
        'report': report('plain', shown),
    }


PARTS = {'losses': losses, 'views': views, 'bytes': packed, 'cost': cost, 'dense': dense}
PRESETS = (
    *(*PARTS, 'losses,averaged', 'views,mixup'),
    *('losses,small', 'losses,averaged,small', 'views,small', 'views,mixup,small', 'bytes,small'),
    'cost,small',
)


def cache(nets, **settings):
    """The logits of the ensemble, changed by the chosen presets."""
    for chosen in nets['cache']:
        settings |= chosen
    return cifar.cache(nets, **settings)


def mimic(nets, model, logits, loss=None, **train):
    """A student of one of the three kinds, five seeds."""
    student = cifar.mimic(model, logits, loss, **{**nets['on_logits'], **train})
    return {**student, 'budget': nets['budget'], 'seeds': SEEDS}


def report(ensemble, shown, **settings):
    """The ensemble's row, then others."""
    first = presets.row(f'logits.{ensemble}', 'ensemble', line=bool(settings))
    return presets.report(ensemble, {'ensemble': first, **shown}, **settings)
