"""CIFAR-10: Urban et al.'s students by depth and number of parameters, their Table 2 and Figure 1.

    python -m mimic_jax.main --config=experiments/urban_students.py          # wants many GPUs or TPUs
    python -m mimic_jax.main --config=experiments/urban_students.py:small    # about an hour on 2 cores
    python -m mimic_jax.main --config=experiments/urban_students.py:smoke    # minutes, a first look

Nets of 1 to 5 hidden layers and of 1 to 4 convolutions have 1, 3.16, 10 and 31.6 million parameters. They
mimic the ensemble that urban_teachers.py finds: run it first, in the same workdir, with the same preset.
Five nets are trained on labels as well. report.md has the paper's Table 2, curves.png is its Figure 1. The
paper's size has not been run. Other presets go with the sizes, as in `:hinton,small`:

- `:regularised`: convolutional students with weight decay, and with dropout, beside the plain ones.
- `:hinton`: one net with squared error on logits beside Hinton's temperatures and soft weights.
- `:searched`: in place of each mimic the five best of urban_student_search.py, a point being their mean, as
  in the paper. `:greedy`: the teachers are a greedy choice on validation, not the best members.
- `:fast`: the teachers are three nets of fast_teachers.py's recipe, without a search. Students see 40 views
  in 160 epochs at a rate that falls like a cosine; those of 1M are trained on labels too, with dropout and
  decay. With `,1M,3M16,mlp_1,mlp_2,mlp_3,mlp_4,mlp_5` it takes 2.8 PFLOP.
- `:1M`, `:3M16`, `:10M`, `:31M6`, with `:small` `:100k`, `:320k`: one budget. `:mlp_1`, `:mlp_2`, `:mlp_3`,
  `:mlp_4`, `:mlp_5`, `:conv_1`, `:conv_2`, `:conv_3`, `:conv_4`: one family. Several may be named.

As in the paper: squared error on raw logits without the ½, no weight decay, no dropout. All students see
160 views of the 40,000 training images in the same order. Nets with no or one convolution have a linear
bottleneck. Convolutions are 5×5, pools 2×2 (3×3 after the only convolution). One width of each net is
solved from the budget; the others lie inside the paper's ranges for students, and are equal in nets of
several hidden layers. All students share one rate and momentum from its ranges. Not in the paper, chosen,
not tuned: batches of 128, at most 480 epochs, on labels a decay of 2e-4, dropout of .2 after pools and .4
after the hidden layer, and under Hinton's loss the rate of the nets on labels.

Also chosen: gradients are clipped at norm 10, on logits and on labels. Validation accuracies in % after 100
steps, at rates .0015, .005 and .015 (12,800 images without augmentation, one small CNN's logits, one seed;
– diverged). Without clipping rate times curvature must start below 1.36; at .005 it is .7 to 6.3.

    clipped at            none              10                 1
    mlp_1_1M         43.3   –    –     41.7 43.5 41.6    30.0 37.1 41.8
    mlp_1_10M        44.9   –    –     41.8 44.5 44.0    32.7 38.0 41.8
    mlp_2_1M         43.8   –    –     39.1 42.8 40.5    27.7 32.2 39.1
    mlp_2_10M        46.7   –    –     43.5 44.9 42.7    31.2 38.7 43.7
    conv_1_1M          –    –    –     47.1 51.3 52.8    25.0 40.1 47.1

`:small` is another setting: 8,000 images, the ensemble of 4 of urban_teachers.py:small, 24 views, two
seeds, 100 and 320 thousand parameters. The larger nets are trained on labels too, in the same way. Rate
and clipping are from trials for cifar_student.py:small. Dense nets train for 96 epochs: on validation the
larger has 48.7% after 24 and 51.9 after 96, on labels 50.6 and 50.2. On one core: cache 5 minutes, nets
25, `:hinton` 15.
"""

from mimic_jax.config import presets, urban

ALL = urban.BUDGETS | urban.SMALL_BUDGETS
NETS = {  # of each family, by budget
    'mlp_1': ('?L-2k', '?L-5k', '?L-12k', '?L-20k'),
    'mlp_2': ('?-?',) * 4,
    'mlp_3': ('?-?-?',) * 4,
    'mlp_4': ('?-?-?-?',) * 4,
    'mlp_5': ('?-?-?-?-?',) * 4,
    'conv_1': ('80c5-p3-?L-1k', '150c5-p3-?L-2k', '250c5-p3-?L-4k', '400c5-p3-?L-4k'),
    'conv_2': tuple(
        f'{first}c5-p2-{second}c5-p2-?'
        for first, second in ((60, 60), (120, 100), (200, 110), (400, 120))
    ),
    'conv_3': tuple(f'{width}c5-p2-{width}c5-p2-{width}c5-p2-?' for width in (70, 110, 190, 350)),
    'conv_4': tuple(
        f'{first}c5-p2-{first}c5-{second}c5-p2-{second}c5-p2-?'
        for first, second in ((50, 60), (90, 110), (150, 190), (270, 340))
    ),
}
SMALL_NETS = {
    'mlp_1': ('?L-500', '?L-1k'),
    'conv_1': ('8c5-p3-?L-200', '12c5-p3-?L-400'),
    'conv_2': ('12c5-p2-16c5-p2-?', '12c5-p2-24c5-p2-?'),
    'conv_3': ('12c5-p2-16c5-p2-24c5-p2-?', '16c5-p2-24c5-p2-32c5-p2-?'),
}
BA_CARUANA = {'bc': {'label': 'SNN-ECNN-MIMIC-30k of Ba & Caruana', 'x': 70e6, 'accuracy': 0.858}}
HINTON = {  # temperature and soft weight of each row under Hinton's loss
    **{f'temperature_{number}': (float(number), 0.9) for number in (1, 2, 4, 8)},
    'soft_alone': (4.0, 1.0),
    'half_soft': (4.0, 0.5),
}


def get_config(arg=''):
    chosen = presets.chosen(arg, (*urban.SIZES, *ALL, *urban.FAMILIES, *CHANGES))
    size = presets.one_of(chosen, urban.SIZES, '')
    presets.one_of(chosen, ('regularised', 'hinton'), '')  # each makes a table of its own
    students = picked(small_nets(size) if size else nets(), chosen)
    shown, marks = rows(students, size), gaps(students, '320k' if size else '10M')
    settings = {'x_label': 'parameters', 'grid': True, 'points': {} if size else BA_CARUANA}
    config = {
        'presets': () if chosen else presets.SHORTER,
        **urban.teaching(size),
        'search': {'study': urban.study(size)},  # the members' study
        'students': students,
        'report': presets.report('ensemble', shown, gaps=marks, **settings),
    }
    return presets.build(config, CHANGES, ','.join(name for name in CHANGES if name in chosen))


def nets():
    """The paper's Table 2: every family at every budget, and five nets on labels."""
    students = {
        f'{family}_{budget}': urban.mimicking(model, parameters, urban.training(''))
        for family, models in NETS.items()
        for (budget, parameters), model in zip(urban.BUDGETS.items(), models, strict=True)
    }
    return students | {f'{family}_labels': urban.on_labels(family) for family in urban.ON_LABELS}


def small_nets(size):
    """Small nets on logits, and those of the larger budget on labels with the same settings."""
    students, small = {}, size == 'small'
    for family in SMALL_NETS if small else ('mlp_1', 'conv_1'):
        for budget, model in zip(urban.SMALL_BUDGETS, SMALL_NETS[family], strict=True):
            net = {'budget': urban.SMALL_BUDGETS[budget], 'seeds': (0, 1) if small else (0,)}
            train = urban.training(size, 0.1 if small else 0.03)
            if small and family == 'mlp_1':
                train['epochs'] = 96  # cheap nets, far from fitted after 24
            students[f'{family}_{budget}'] = urban.mimicking(model, train=train, **net)
        students[f'{family}_labels'] = {'model': model, 'train': dict(train), **net}
    return students


def picked(students, chosen):
    """The students of the budgets and families among the chosen presets; without any, all."""
    budgets = [ALL[preset] for preset in chosen if preset in ALL]
    families = tuple(preset for preset in chosen if preset in NETS)
    found = {
        name: net
        for name, net in students.items()
        if (not budgets or net['budget'] in budgets) and (not families or name.startswith(families))
    }
    if not found:
        raise ValueError(f'{",".join(chosen)} leaves no student; name presets that go together')
    return found


def rows(students, size):
    """The ensemble, and a point of the figure for each student: a curve a family and target."""
    papers = {} if size else urban.accuracies()
    words, paper = f'ensemble of {urban.MEMBERS[size]}', papers.get('ensemble', -1.0)
    result = {'ensemble': presets.row('logits.ensemble', words, paper)}
    for name, net in students.items():
        family, _, kind = name.rpartition('_')
        target = ', on labels' if kind == 'labels' else ''
        words, x, paper = urban.FAMILIES[family], net['budget'], papers.get(name, -1.0)
        label = f'{words}, {x / 1e6:g}M{target}' if x >= 1e6 else f'{words}, {x / 1e3:g}k{target}'
        curve = words + target
        result[name] = presets.row(f'students.{name}', label, paper, curve=curve, x=x)
    return result


def gaps(students, budget):
    """The gain of a convolution over the best dense student, and of logits over labels, twice."""
    dense = tuple(name for name in students if 'mlp' in name and name.endswith(budget))
    ends = {
        'convolutional': (dense, f'conv_1_{budget}'),
        'compression_mlp_1': (('mlp_1_labels',), f'mlp_1_{budget}'),
        'compression_conv_1': (('conv_1_labels',), f'conv_1_{budget}'),
    }
    return {
        name: {'label': f'{name.partition("_")[0]} gap', 'low': low, 'high': (high,)}
        for name, (low, high) in ends.items()
        if low and {*low, high} <= set(students)
    }


def greedy(config):
    """The ensemble's members by greedy choice on the validation split."""
    for member in config.members.values():
        member.from_study.choice = 'greedy'


def searched(config):
    """Replaces every mimic by the five best nets of its study, and every net on labels by the best.

    A point of the figure and a cell of the grid are the mean of the five, as in the paper's Figure 1.
    """
    size = config.search.study.partition('teachers_')[2]
    count = 2 if size == 'smoke' else 5
    papers = {} if size else urban.accuracies(urban.FIGURE_1)
    old, students, rows, places = config.report, {}, {}, {}  # a place: the rows of one net
    for name, net in config.students.items():
        study = config.search.study.replace('teachers', 'student') + f'_{name}'
        ranks = {f'{name}_{rank}': rank for rank in range(1, count + 1)}
        places[name] = ranks if net.target == 'logits' else {name: 1}
        for found, rank in places[name].items():
            students[found] = {'from_study': {'study': study, 'rank': rank}}
            label = old.rows[name].label + (f', number {rank}' if found in ranks else '')
            new = {'source': f'students.{found}', 'label': label, 'paper': papers.get(name, -1.0)}
            rows[found] = {**old.rows[name].to_dict(), **new}
    config.students = students
    config.report.rows = {'ensemble': old.rows.ensemble, **rows}
    config.report.order = tuple(row for name in old.order for row in places.get(name, (name,)))
    for gap in config.report.gaps.values():  # all rows of a place stand at one point
        first = {name: next(iter(found)) for name, found in places.items()}
        gap.low, gap.high = (tuple(map(first.get, ends)) for ends in (gap.low, gap.high))


def regularised(config):
    """The convolutional nets of one budget: plain, with weight decay, with dropout."""
    nets = plain(config, 'regularised', [family for family in NETS if 'conv' in family])
    for name, (label, net) in nets.items():
        decayed, dropped = net.copy_and_resolve_references(), net.copy_and_resolve_references()
        decayed.train.weight_decay = 2e-4
        dropped.model = urban.dropped(net.model)
        add(config, name, label, net)
        add(config, f'{name}_decay', f'{label}, weight decay', decayed)
        add(config, f'{name}_dropout', f'{label}, dropout', dropped)


def hinton(config):
    """The net of one convolution under several losses, at one budget."""
    on_labels = config.students.get('conv_1_labels')
    ((name, (label, net)),) = plain(config, 'hinton', ['conv_1']).items()
    config.report.x_label = 'temperature'
    add(config, name, f'{label}, squared error on logits', net)
    for mix, (temperature, soft) in HINTON.items():
        mixed = net.copy_and_resolve_references()
        mixed.loss = {'kind': 'hinton', 'temperature': temperature, 'soft_weight': soft}
        mixed.train.learning_rate = on_labels.train.learning_rate  # both losses are cross-entropies
        words, curve = f'{label}, temperature {temperature:g}, {soft:g} soft', soft == 0.9
        add(config, f'{name}_{mix}', words, mixed, curve='0.9 soft' * curve, x=temperature)
    add(config, 'conv_1_labels', f'{label}, on labels', on_labels)


def plain(config, preset, families):
    """{name: (label, net)} of families at 10M or 320k; empties the config's students and report."""
    names = [f'{family}_{budget}' for budget in ('10M', '320k') for family in families]
    names = [name for name in names if name in config.students and config.students[name].model]
    if not names:
        raise ValueError(f'preset {preset!r} has no net: it needs convolutions of 10M or 320k')
    found = {name: (config.report.rows[name].label, config.students[name]) for name in names}
    config.students = {}
    config.report = presets.report('ensemble', {'ensemble': config.report.rows.ensemble})
    return found


def add(config, name, label, net, **row):
    """A student and its row of the report."""
    config.students[name] = net
    presets.add_row(config, name, f'students.{name}', label, **{'x': net.budget, **row})


CHANGES = {
    change.__name__: change for change in (greedy, urban.fast, searched, regularised, hinton)
}
PRESETS = (
    *(*urban.SIZES, *urban.BUDGETS, *urban.FAMILIES, *CHANGES),
    *(f'{name},small' for name in (*urban.SMALL_BUDGETS, 'searched', 'regularised', 'hinton')),
)
