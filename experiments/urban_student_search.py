"""CIFAR-10: Urban et al.'s search for a student: one family of nets at one budget, by validation accuracy.

    python -m mimic_jax.main --config=experiments/urban_student_search.py:conv_2,10M
    python -m mimic_jax.main --config=experiments/urban_student_search.py:small       # half an hour
    python -m mimic_jax.main --config=experiments/urban_student_search.py:smoke       # minutes

The families are nets of hidden layers (`:mlp_1`, with a bottleneck, `:mlp_2`, `:mlp_3`, `:mlp_4`,
`:mlp_5`) and of convolutions (`:conv_1`, `:conv_2`, `:conv_3`, `:conv_4`). The budgets are `:1M`, `:3M16`,
`:10M` and `:31M6`; with `:small` or `:smoke` they are `:100k` and `:320k`. Without presets the family is
conv_1 and the budget 10M, or 320k. Students learn from the cache of urban_students.py of the same size; a
missing cache is made. Run urban_teachers.py first, in the same workdir. The preset `:searched` of
urban_students.py tabulates the best net of every such search. `:labels` searches for a net on labels, with
dropout, at 10M (or 320k), in the families of the paper's nets on labels. The same command continues a
stopped search. Several processes may share one through `--config.search.storage`. Nobody has run these
searches here.

As in the paper: rate, momentum, input scale, a factor on the initialisation and the widths are searched
in its ranges, which depend on the budget; one width is solved from the budget. Not in the paper, chosen
here: 40 trials a search, widths on a log scale, batches of 128, at most 480 epochs. In deep dense nets the
widths are ½ to 2 times the last layer's. Nets on labels of one hidden layer have the students' widths.
The rest is as in urban_students.py.

`:small` is another setting: 8,000 images, the paper's widths over 4, 12 trials of 24 epochs, and rates
around urban_students.py:small's. At 60 GFLOP/s on 2 cores a trial at 320k takes 1 minute for conv_1 and 2
for conv_3 (5 and 12 MFLOP forward in the middle of the space), and 20 s more for its views. These are
estimates; nothing was measured.
"""

from mimic_jax.config import presets, urban

MODELS = {
    'mlp_1': '?L-{fc}',
    'mlp_2': '?*{r1:.3f}-?',
    'mlp_3': '?*{r1:.3f}-?*{r2:.3f}-?',
    'mlp_4': '?*{r1:.3f}-?*{r2:.3f}-?*{r3:.3f}-?',
    'mlp_5': '?*{r1:.3f}-?*{r2:.3f}-?*{r3:.3f}-?*{r4:.3f}-?',
    'conv_1': '{c1}c5-p3-?L-{fc}',
    'conv_2': '{c1}c5-p2-{c2}c5-p2-?',
    'conv_3': '{c1}c5-p2-{c2}c5-p2-{c3}c5-p2-?',
    'conv_4': '{c1}c5-p2-{c2}c5-{c3}c5-p2-{c4}c5-p2-?',
}
WIDTHS = {  # their ranges at the four budgets
    'mlp_1': {'fc': ((500, 5000), (1000, 20000), (5000, 30000), (5000, 45000))},
    'conv_1': {
        'c1': ((40, 150), (50, 300), (50, 450), (200, 600)),
        'fc': ((200, 1600), (100, 4000), (500, 20000), (1000, 4100)),
    },
    'conv_2': {
        'c1': ((20, 120), (50, 250), (50, 350), (50, 800)),
        'c2': ((20, 120),) * 4,
    },
    'conv_3': dict.fromkeys(('c1', 'c2', 'c3'), ((20, 110), (40, 200), (50, 350), (50, 650))),
    'conv_4': {
        **dict.fromkeys(('c1', 'c2'), ((25, 100), (50, 150), (50, 300), (50, 500))),
        **dict.fromkeys(('c3', 'c4'), ((25, 100), (50, 200), (50, 350), (50, 650))),
    },
}
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
DROPOUT = {'d1': (0.05, 0.4), 'd2': (0.1, 0.6), 'd3': (0.1, 0.7), 'f1': (0.1, 0.7)}
RATES = {'rate': 'train.learning_rate', 'momentum': 'train.momentum'}  # what each search sets
BUDGETS = {**urban.BUDGETS, **urban.SMALL_BUDGETS}
PRESETS = (
    *(*urban.SIZES, *MODELS, *urban.BUDGETS, 'labels'),
    *(f'small,{budget}' for budget in urban.SMALL_BUDGETS),
    'small,labels',
)


def get_config(arg=''):
    chosen = presets.chosen(arg, (*urban.SIZES, *MODELS, *BUDGETS, 'labels'))
    size = presets.one_of(chosen, urban.SIZES, '')
    family = presets.one_of(chosen, MODELS, 'conv_1')
    budget = presets.one_of(chosen, BUDGETS, '320k' if size else '10M')
    if budget not in (urban.SMALL_BUDGETS if size else urban.BUDGETS):
        small = ' and '.join(urban.SMALL_BUDGETS)
        raise ValueError(f'{budget} has another size: {small} go with small or smoke only')
    searched = on_labels if 'labels' in chosen else mimicking
    name = f'{family}_labels' if 'labels' in chosen else f'{family}_{budget}'
    ranks = range(1, (2 if size == 'smoke' else 5) + 1)
    labels = {f'found_{rank}': f'{name}, number {rank} on validation' for rank in ranks}
    rows = {found: presets.row(f'students.{found}', label) for found, label in labels.items()}
    config = {
        'presets': () if size else tuple(f'{each} is a search for a CPU' for each in urban.SIZES),
        **urban.teaching(size, study=urban.study(size)),
        'search': {
            **searched(size, family, budget),
            'trials': {'': 40, 'small': 12, 'smoke': 3}[size],
            'study': urban.study(size).replace('teachers', 'student') + f'_{name}',
            'startup': {'': 10, 'small': 6, 'smoke': 2}[size],
        },
        'students': {f'found_{rank}': {'from_study': {'rank': rank}} for rank in ranks},
        'report': presets.report(
            'ensemble', {**rows, 'ensemble': presets.row('logits.ensemble', 'ensemble')}
        ),
    }
    return presets.build(config)


def mimicking(size, family, budget):
    """The space of a student on the ensemble's logits, and the student."""
    space = {
        **widths(size, family, budget),
        'rate': presets.logarithmic(0.02, 0.3) if size else presets.logarithmic(0.0013, 0.016),
        'momentum': presets.logarithmic(0.68, 0.97),
        'input_scale': {'low': 0.8, 'high': 1.25},
        'init': {'low': 0.4, 'high': 2.0},
    }
    sets = {**RATES, 'input_scale': 'train.input_scale', 'init': 'train.init_scale'}
    student = urban.mimicking(MODELS[family], BUDGETS[budget], urban.training(size))
    return {'space': space, 'sets': sets, 'student': student}


def widths(size, family, budget):
    """The widths of a family at a budget; deep dense nets have ratios to the last width."""
    if family not in WIDTHS:
        return {f'r{layer}': presets.logarithmic(0.5, 2.0) for layer in range(1, int(family[-1]))}
    position = list(urban.SMALL_BUDGETS if size else urban.BUDGETS).index(budget)
    divisor = 4 if size else 1
    return {name: whole(ranges[position], divisor) for name, ranges in WIDTHS[family].items()}


def on_labels(size, family, budget):
    """The space of a net on labels, at the only budget of such nets in the paper, and the net."""
    if family not in ON_LABELS or budget not in ('10M', '320k'):
        raise ValueError(
            f'labels goes with {", ".join(ON_LABELS)}, at 10M or, with small, 320k; '
            f'{family} at {budget} is not among them'
        )
    model, ranges = ON_LABELS[family]
    divisor = 8 if size else 1  # the paper's ranges are for a larger budget
    space = {name: whole(ends, divisor) for name, ends in ranges.items()}
    for name, (low, high) in DROPOUT.items():
        if f'{{{name}:' in model:
            space[name] = {'low': low, 'high': high}
    space['rate'] = presets.logarithmic(0.02, 0.3) if size else presets.logarithmic(0.0015, 0.025)
    space['momentum'] = presets.logarithmic(0.68, 0.97)
    train = {**urban.training(size), 'weight_decay': 2e-4}
    return {
        'space': space,
        'sets': RATES,
        'student': {'model': model, 'budget': BUDGETS[budget], 'train': train},
    }


def whole(ends, divisor):
    """A whole number searched evenly on a log scale, its range divided by `divisor`."""
    low, high = ends
    return presets.logarithmic(low // divisor, high // divisor, int=True)
