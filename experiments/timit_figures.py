"""TIMIT: the three figures of Ba & Caruana on speech, each drawn as `curves.png` in its report.

    python -m mimic_jax.main --config=experiments/timit_figures.py:figure1 --config.data.root=FOLDER

- `:figure1`: phone accuracy on the development and the test set against parameters, 1M to 100M, of
  shallow nets, deep nets and shallow mimic nets; lines for the CNN and the ensemble.
- `:figure2` (section 5.1): phone accuracy by epoch of SNN-8k, SNN-8k with dropout and SNN-MIMIC-8k. A
  point is a net of its own: at a constant rate and with the same seed, a net that trains longer passes
  through the shorter one's every step.
- `:figure3` (section 5.2): the mimic's accuracy against its teacher's, of 8,000 and 160,000 units, for
  teachers from the deep net to the whole ensemble; a diagonal where the two are equal.

With `:sample`, as in `:figure1,sample`, any corpus in TIMIT's layout of 16 speakers or more will do:
teachers and data are those of `timit_table1.py:sample` in its first fold, which are used where the
workdir has them (those of `benchmarks/timit_folds.py` lie in runs/timit_folds), and the nets are small:
on one core figure 1 took 13 minutes, 2 and 3 took 25 and 14, and the teachers another 13. With `:smoke`
they are tiny, and it takes minutes. Without either, FOLDER holds TIMIT (LDC93S1, from the
Linguistic Data Consortium), the teachers are those of `timit_table1.py`, and it wants a GPU or TPU:
nobody has run that here.

Expect of figure 1 that the mimic pulls away from the shallow net as both grow, of figure 2 that it
does not overfit, of figure 3 that it gains as its teacher does, the wider one more. One seed a point;
more with `--config.students.NAME.seeds=0,1,2`. Rates, epochs and widths that the paper does not print
were chosen here.
"""

import ml_collections

BANDS = (8, 7, 9, 6, 10, 5, 11, 4, 12)  # that the members' filters span


def get_config(arg=''):
    chosen = [preset for preset in arg.split(',') if preset]
    for preset in chosen:
        if preset not in (*FIGURES, *SIZES):
            known = ', '.join((*FIGURES, *SIZES))
            raise ValueError(f'unknown preset {preset!r}; this file has {known}')
    figures = [preset for preset in chosen if preset in FIGURES] or ['figure1']
    if len(figures) > 1:
        raise ValueError(f'{" and ".join(figures)} are figures of their own; name one')
    sizes = [preset for preset in chosen if preset in SIZES]
    nets = SIZES[sizes[-1]] if sizes else WHOLE
    config = common(nets)
    FIGURES[figures[0]](config, nets)
    return config


WHOLE = ml_collections.FrozenConfigDict(
    {
        'data': {'split': 'official', 'validation': 0},
        'deep': '2k-d.5-2k-d.5-2k-d.5',
        'convolution': '150c15x{}v-p1x6/1x2-2k-d.5-2k-d.5-2k-d.5',
        'ensemble': tuple(f'cnn_{number}' for number in range(1, 10)),
        'train': {'epochs': 20, 'batch_size': 256},
        'mimic_train': {'epochs': 20, 'batch_size': 256},
        'dropout': '-d.5',
        'linear': '250L-',
        'steady': {'labels': 0.02, 'logits': 0.02},  # the constant rates of figure 2
        'budgets': (1e6, 3.16e6, 10e6, 31.6e6, 100e6),
        'units': '8k',
        'epochs': (1, 2, 3, 4, 6, 8, 10, 12, 14),
        'mimics': ('8k', '160k'),
    }
)
SAMPLE = ml_collections.FrozenConfigDict(
    {
        **WHOLE,
        'data': {'split': 'fold', 'validation': 2},
        'deep': '500-d.3-500-d.3-500-d.3',
        'convolution': '38c15x{}v-p1x6/1x2-500-d.3-500-d.3-500-d.3',
        'ensemble': ('cnn', 'cnn_2', 'cnn_3', 'cnn_4'),
        'train': {'epochs': 15, 'batch_size': 128},
        'mimic_train': {'epochs': 20, 'batch_size': 128, 'learning_rate': 0.2},
        'steady': {'labels': 0.02, 'logits': 0.08},
        'dropout': '-d.3',
        'budgets': (5e5, 1e6, 2e6),
        'units': '2k',
        'epochs': (1, 2, 4, 8, 14),
        'mimics': ('400', '2k'),
    }
)
SMOKE = ml_collections.FrozenConfigDict(
    {
        **SAMPLE,
        'deep': '128-128',
        'convolution': '8c15x{}v-p1x6/1x2-128',
        'ensemble': ('cnn', 'cnn_2'),
        'train': {'epochs': 3, 'batch_size': 128},
        'mimic_train': {'epochs': 3, 'batch_size': 128},
        'linear': '32L-',
        'budgets': (1e5, 3e5),
        'units': '256',
        'epochs': (1, 2, 3),
        'mimics': ('128', '256'),
    }
)
SIZES = {'sample': SAMPLE, 'smoke': SMOKE}


def common(nets):
    """Data, targets, and the teachers, whose ensemble has a cache of logits."""
    config = ml_collections.ConfigDict()
    if nets is WHOLE:
        config.presets = {
            'figure1,sample': 'has small nets, for a part of TIMIT',
            'figure1,smoke': 'takes some minutes',
        }
    config.data = {
        'name': 'timit',
        'root': '',
        'fold': 0,
        'folds': 4,
        'test': 0,
        'seed': 0,
        'skip_bad': False,
        'preprocess': 'feature',
        **nets.data,
    }
    config.alignment = {'rounds': 1, 'net': member(nets, nets.deep, 0)}
    config.members = {'cnn': member(nets, nets.convolution.format(BANDS[0]), 0)}
    for name in nets.ensemble:
        if name != 'cnn':
            number = int(name.removeprefix('cnn_'))
            model = nets.convolution.format(BANDS[number - 1])
            config.members[name] = member(nets, model, number, subset=0.9)
    config.logits = {'ecnn': cache(nets.ensemble)}
    config.students = {}
    config.decoding = {
        'language_model': 'bigram',
        'lm_scales': (1.0, 2.0, 4.0, 6.0),
        'penalties': (-4.0, 0.0, 4.0),
        'batch_size': 32,
    }
    config.report = {'ensemble': 'ecnn', 'order': (), 'x_label': '', 'grid': False, 'rows': {}}
    config.run = {
        'log_steps': 100,
        'evaluation_steps': 1,
        'checkpoint_steps': 1,
        'steps_per_call': 0,
        'model_axis': 1,
        'placement': 'auto',
        'evaluation_batch_size': 2000,
    }
    return config


def figure1(config, nets):
    """Accuracy against parameters."""
    config.report.x_label, config.report.grid = 'parameters', True
    hidden = f'?{nets.dropout}'
    curves = {
        'snn': ('SNN', hidden, ''),
        'dnn': ('DNN', '-'.join((hidden,) * 3), ''),
        'mimic': ('SNN-MIMIC', f'{nets.linear}?', 'ecnn'),
    }
    for curve, (label, model, logits) in curves.items():
        for budget in nets.budgets:
            name = f'{curve}_{round(budget / 1000)}k'
            config.students[name] = student(nets, model, logits, budget=budget)
            size = f'{budget / 1e6:g}M'
            show(config, name, f'students.{name}', f'{label}, {size}', curve=label, x=budget)
    show(config, 'cnn', 'members.cnn', 'CNN', line=True)
    show(config, 'ecnn', 'logits.ecnn', f'ensemble of {len(nets.ensemble)}', line=True)


def figure2(config, nets):
    """Accuracy by epoch."""
    config.report.x_label, config.report.grid = 'epochs', True
    curves = {
        'plain': (f'SNN-{nets.units}', nets.units, ''),
        'dropout': (f'SNN-{nets.units} + dropout', nets.units + nets.dropout, ''),
        'mimic': (f'SNN-MIMIC-{nets.units}', nets.linear + nets.units, 'ecnn'),
    }
    # So that a longer run begins with the very steps of a shorter one.
    steady = {'schedule': 'constant', 'warmup': 0.0}
    for curve, (label, model, logits) in curves.items():
        steady['learning_rate'] = nets.steady['logits' if logits else 'labels']
        for epochs in nets.epochs:
            name = f'{curve}_{epochs}'
            config.students[name] = student(nets, model, logits, epochs=epochs, **steady)
            what = f'{label}, {epochs} epochs' if epochs > 1 else f'{label}, 1 epoch'
            show(config, name, f'students.{name}', what, curve=label, x=epochs)


def figure3(config, nets):
    """The mimic's accuracy against its teacher's."""
    config.report.x_label = 'accuracy of the teacher, %'
    config.members.dnn = member(nets, nets.deep, 1)
    most = len(nets.ensemble)
    some = sorted({2, (most + 1) // 2} - {most})
    teachers = {
        'dnn': ('DNN', ('dnn',)),
        'cnn': ('CNN', ('cnn',)),
        **{f'cnn_x{count}': (f'{count} CNNs', nets.ensemble[:count]) for count in some},
        'ecnn': (f'{most} CNNs', nets.ensemble),
    }
    for name, (label, members) in teachers.items():
        config.logits[name] = cache(members)
        show(config, name, f'logits.{name}', label)
    for units in nets.mimics:
        for teacher, (label, _) in teachers.items():
            name = f'mimic_{units}_{teacher}'
            config.students[name] = student(nets, nets.linear + units, teacher)
            curve = f'mimic with {units} units'
            show(
                config, name, f'students.{name}', f'{curve}, {label}', curve=curve, against=teacher
            )


FIGURES = {'figure1': figure1, 'figure2': figure2, 'figure3': figure3}
PRESETS = (*FIGURES, *(f'{figure},{size}' for figure in FIGURES for size in SIZES))


def show(config, name, source, label, **changes):
    """Adds a row to the report."""
    config.report.order += (name,)
    config.report.rows[name] = {
        'source': source,
        'label': label,
        'curve': '',
        'x': 0.0,
        'against': '',
        'line': False,
        **changes,
    }


def cache(members):
    return {'members': members, 'transfer': ('train',), 'views': 1, 'dtype': 'float16'}


def member(nets, model, seed, subset=1.0):
    return {'model': model, 'seed': seed, 'subset': subset, 'train': train(**nets.train)}


def student(nets, model, logits='', budget=0.0, **changes):
    """A net on the logits of a cache or, without one, on labels; `changes` of its training."""
    common = nets.mimic_train if logits else nets.train
    return {
        'model': model,
        'budget': budget,
        'target': 'logits' if logits else 'labels',
        'logits': logits,
        'loss': {'kind': 'logits' if logits else 'cross_entropy', 'scale': 0.5},
        'train': train(**{**common, 'clip_norm': 1.0, **changes}),
        'seeds': (0,),
    }


def train(**changes):
    """Settings of one training run; `changes` replace the common ones."""
    return {
        'epochs': 20,
        'batch_size': 256,
        'learning_rate': 0.05,
        'schedule': 'cosine',
        'warmup': 0.05,
        'momentum': 0.9,
        'weight_decay': 0.0,
        'clip_norm': 0.0,
        'dtype': 'float32',
        'init_scale': 1.0,
        **changes,
    }
