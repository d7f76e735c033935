"""TIMIT: the three figures of Ba & Caruana on speech, each drawn as `curves.png` in its report.

    python -m mimic_jax.main --config=experiments/timit_figures.py:figure1 --config.data.root=FOLDER

- `:figure1`: phone accuracy on the development and the test set against parameters, 1M to 100M, of
  shallow nets, deep nets and shallow mimic nets; lines for the CNN and the ensemble.
- `:figure2` (section 5.1): phone accuracy by epoch of SNN-8k, SNN-8k with dropout and SNN-MIMIC-8k. Each
  point is a net of its own. The rate is constant and the seed the same, so a net that trains longer
  passes through every step of the shorter ones.
- `:figure3` (section 5.2): the mimic's accuracy against its teacher's, of 8,000 and 160,000 units, for
  teachers from the deep net to the whole ensemble; a diagonal where the two are equal.

Without a size, FOLDER holds TIMIT (LDC93S1, from the Linguistic Data Consortium) and the teachers are
those of `timit_table1.py`. This wants a GPU or TPU; nobody has run it here.

With `:sample`, as in `:figure1,sample`, any corpus in TIMIT's layout with 16 speakers or more is enough,
and the nets are small. Teachers and data are those of `timit_table1.py:small` in its first fold. They
are used where the workdir has them (those of `benchmarks/timit_folds.py` lie in runs/timit_folds). On one
core figures 1, 2 and 3 took 13, 25 and 14 minutes, and the teachers another 13. With `:smoke` the nets
are tiny, and a figure takes minutes.

At full size nets of 1M parameters on labels have no dropout, larger ones .5. This was tried on the sample
with nets of three hidden layers and 1M parameters. Frame accuracies on its validation speakers after 5 of
15 epochs, at rates of .05 and .1: dropout .5 32.4 and 36.3%, .2 46.4 and 47.5, none 47.7 and 48.8.

Figure 1 should show that the mimic pulls away from the shallow net as both grow, figure 2 that the mimic
does not overfit, figure 3 that the mimic gains as its teacher does, the wider mimic more. Each point has
one seed; `--config.students.NAME.seeds=0,1,2` gives more. The paper does not print rates, epochs and some
widths; those were chosen here.
"""

from mimic_jax.config import presets, timit

WHOLE = {
    **timit.WHOLE,
    'dropout': '-d.5',
    'undropped': 1e6,  # nets on labels of so many parameters or fewer have no dropout in figure 1
    'linear': '250L-',
    'budgets': (1e6, 3.16e6, 10e6, 31.6e6, 100e6),  # figure 1
    'units': '8k',  # figure 2
    'epochs': (1, 2, 3, 4, 6, 8, 10, 12, 14),
    'rates': {'labels': 0.02, 'logits': 0.02},
    'mimics': ('8k', '160k'),  # figure 3
}
SAMPLE = {
    **timit.SMALL,
    'dropout': '-d.3',
    'linear': '250L-',
    'budgets': (5e5, 1e6, 2e6),
    'units': '2k',
    'epochs': (1, 2, 4, 8, 14),
    'rates': {'labels': 0.02, 'logits': 0.08},
    'mimics': ('400', '2k'),
}
SMOKE = {
    **timit.SMOKE,
    'dropout': '-d.3',
    'linear': '32L-',
    'budgets': (1e5, 3e5),
    'units': '256',
    'epochs': (1, 2, 3),
    'rates': {'labels': 0.02, 'logits': 0.08},
    'mimics': ('128', '256'),
}
SIZES = {'sample': SAMPLE, 'smoke': SMOKE}


def get_config(arg=''):
    names = presets.chosen(arg, (*FIGURES, *SIZES))
    figure = FIGURES[presets.one_of(names, FIGURES, 'figure1')]
    size = presets.one_of(names, SIZES, '')
    config = figure(SIZES.get(size, WHOLE))
    if not size:
        config['presets'] = (
            'figure1,sample has small nets, for a part of TIMIT',
            'figure1,smoke takes some minutes',
        )
    return presets.build(config)


def figure1(nets):
    """Accuracy against parameters."""
    hidden = '?' + nets['dropout']
    curves = {
        'snn': ('SNN', hidden, ''),
        'dnn': ('DNN', f'{hidden}-{hidden}-{hidden}', ''),
        'mimic': ('SNN-MIMIC', nets['linear'] + '?', 'ecnn'),
    }
    students, rows = {}, {}
    for curve, (label, model, teacher) in curves.items():
        for budget in nets['budgets']:
            name = f'{curve}_{round(budget / 1000)}k'
            few = budget <= nets.get('undropped', 0)
            net = model.replace(nets['dropout'], '') if few else model
            students[name] = timit.student(nets, net, teacher, budget=budget)
            point = f'{label}, {budget / 1e6:g}M'
            rows[name] = presets.row(f'students.{name}', point, curve=label, x=budget)
    rows['cnn'] = presets.row('members.cnn', 'CNN', line=True)
    rows['ecnn'] = presets.row('logits.ecnn', f'ensemble of {len(nets["ensemble"])}', line=True)
    return {
        **timit.common(nets, 'cnn'),
        'students': students,
        'report': presets.report('ecnn', rows, x_label='parameters', grid=True),
    }


def figure2(nets):
    """Accuracy by epoch."""
    units = nets['units']
    curves = {
        'plain': (f'SNN-{units}', units, ''),
        'dropout': (f'SNN-{units} + dropout', units + nets['dropout'], ''),
        'mimic': (f'SNN-MIMIC-{units}', nets['linear'] + units, 'ecnn'),
    }
    students, rows = {}, {}
    for curve, (label, model, teacher) in curves.items():
        # A constant rate lets a longer run begin with the same steps as a shorter one.
        rate = nets['rates']['logits' if teacher else 'labels']
        steady = {'schedule': 'constant', 'warmup': 0.0, 'learning_rate': rate}
        for epochs in nets['epochs']:
            name = f'{curve}_{epochs}'
            students[name] = timit.student(nets, model, teacher, {'epochs': epochs, **steady})
            point = f'{label}, {epochs} epochs' if epochs > 1 else f'{label}, 1 epoch'
            rows[name] = presets.row(f'students.{name}', point, curve=label, x=epochs)
    return {
        **timit.common(nets, 'cnn'),
        'students': students,
        'report': presets.report('ecnn', rows, x_label='epochs', grid=True),
    }


def figure3(nets):
    """The mimic's accuracy against its teacher's."""
    ensemble = nets['ensemble']
    most = len(ensemble)
    some = sorted({2, (most + 1) // 2} - {most})
    teachers = {
        'dnn': ('DNN', ('dnn',)),
        'cnn': ('CNN', ('cnn',)),
        **{f'cnn_x{count}': (f'{count} CNNs', ensemble[:count]) for count in some},
        'ecnn': (f'{most} CNNs', ensemble),
    }
    rows = {name: presets.row(f'logits.{name}', label) for name, (label, _) in teachers.items()}
    students = {}
    for units in nets['mimics']:
        curve = f'mimic with {units} units'
        for teacher, (label, _) in teachers.items():
            name = f'mimic_{units}_{teacher}'
            students[name] = timit.student(nets, nets['linear'] + units, teacher)
            point = {'curve': curve, 'against': teacher}
            rows[name] = presets.row(f'students.{name}', f'{curve}, {label}', **point)
    return {
        **timit.common(nets, 'dnn', 'cnn'),
        'logits': {name: timit.cache(members) for name, (_, members) in teachers.items()},
        'students': students,
        'report': presets.report('ecnn', rows, x_label='accuracy of the teacher, %'),
    }


FIGURES = {'figure1': figure1, 'figure2': figure2, 'figure3': figure3}
PRESETS = (*FIGURES, *(f'{figure},{size}' for figure in FIGURES for size in SIZES))
