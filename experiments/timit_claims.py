"""TIMIT: what Ba & Caruana's text says of the method on speech, each claim as a comparison of its own.

    python -m mimic_jax.main --config=experiments/timit_claims.py:bottleneck --config.data.root=FOLDER

- `:bottleneck` (section 3.2): SNN-MIMIC-8k with 50 to 1,000 linear units ahead of its hidden layer, in
  the sample 25 to 500. The paper finds little benefit beyond 250. Drawn as `curves.png`.
- `:losses` (section 2.2): SNN-MIMIC-8k on raw logits, standardised logits, probabilities, KL
  divergence and Hinton's soft and hard mix. The paper finds that logits win.

With `:sample`, as in `:losses,sample`, any corpus in TIMIT's layout of 16 speakers or more will do:
teachers and data are those of `timit_table1.py:sample` in its first fold, which are used where the
workdir has them (those of `benchmarks/timit_folds.py` lie in runs/timit_folds), and the mimics have
2,000 hidden units. Without it, FOLDER holds TIMIT (LDC93S1, from the Linguistic Data Consortium), the
teachers are those of `timit_table1.py`, and it wants a GPU or TPU: nobody has run that here.

One rate serves all losses. In the sample each was tried at .05, .2 and .8 for half of the epochs, with
one seed (benchmarks/tune.py), and .2 was the best of all. Frame accuracy on the validation speakers, %:
logits 48.8, 50.7, 50.7; standardised 45.7, 49.9, 19.1; probabilities 45.6, 48.7, .1; KL 51.6, 51.7,
16.6; KL at temperature 3 51.1, 52.1, 41.3; Hinton's mix 51.9, 52.8, 40.7. Three seeds each, in the
sample two. Fold 0 alone tests four speakers. On one core, beside other programs, the students of the
losses took 24 minutes and those of the bottleneck 30.
"""

import ml_collections

BANDS = (8, 7, 9, 6, 10, 5, 11, 4, 12)  # that the members' filters span


def get_config(arg=''):
    chosen = [preset for preset in arg.split(',') if preset]
    for preset in chosen:
        if preset not in (*CLAIMS, 'sample'):
            known = ', '.join((*CLAIMS, 'sample'))
            raise ValueError(f'unknown preset {preset!r}; this file has {known}')
    claims = [preset for preset in chosen if preset in CLAIMS] or ['bottleneck']
    if len(claims) > 1:
        raise ValueError(f'{" and ".join(claims)} are comparisons of their own; name one')
    nets = SAMPLE if 'sample' in chosen else WHOLE
    config = common(nets)
    CLAIMS[claims[0]](config, nets)
    return config


WHOLE = ml_collections.FrozenConfigDict(
    {
        'data': {'split': 'official', 'validation': 0},
        'deep': '2k-d.5-2k-d.5-2k-d.5',
        'convolution': '150c15x{}v-p1x6/1x2-2k-d.5-2k-d.5-2k-d.5',
        'ensemble': tuple(f'cnn_{number}' for number in range(1, 10)),
        'train': {'epochs': 20, 'batch_size': 256},
        'mimic_train': {'epochs': 20, 'batch_size': 256},
        'units': '8k',
        'widths': (50, 100, 250, 500, 1000),
        'seeds': (0, 1, 2),
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
        'units': '2k',
        'widths': (25, 50, 100, 250, 500),
        'seeds': (0, 1),
    }
)


def common(nets):
    """Data, targets, and the ensemble with its cache of logits."""
    config = ml_collections.ConfigDict()
    if nets is WHOLE:
        config.presets = {'bottleneck,sample': 'and the like have small nets, for a part of TIMIT'}
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
    config.members = {}
    for name in nets.ensemble:
        number = int(name.removeprefix('cnn_')) if name != 'cnn' else 0
        model = nets.convolution.format(BANDS[max(number - 1, 0)])
        config.members[name] = member(nets, model, number, subset=0.9 if number else 1.0)
    config.logits = {
        'ecnn': {'members': nets.ensemble, 'transfer': ('train',), 'views': 1, 'dtype': 'float16'}
    }
    config.students = {}
    config.decoding = {
        'language_model': 'bigram',
        'lm_scales': (1.0, 2.0, 4.0, 6.0),
        'penalties': (-4.0, 0.0, 4.0),
        'batch_size': 32,
    }
    config.report = {'ensemble': 'ecnn', 'order': (), 'x_label': '', 'rows': {}}
    config.run = {
        'log_steps': 100,
        'evaluation_steps': 1,
        'checkpoint_steps': 1,
        'steps_per_call': 0,
        'model_axis': 1,
        'placement': 'auto',
        'evaluation_batch_size': 2000,
    }
    show(config, 'ecnn', 'logits.ecnn', f'ensemble of {len(nets.ensemble)}', line=True)
    return config


def bottleneck(config, nets):
    """Section 3.2."""
    config.report.x_label = 'linear units'
    for width in nets.widths:
        name = f'linear_{width}'
        config.students[name] = mimic(nets, f'{width}L-{nets.units}')
        curve = f'mimic with {nets.units} units'
        show(config, name, f'students.{name}', f'{width} linear units', curve=curve, x=width)


def losses(config, nets):
    """Section 2.2."""
    for name, (label, changes) in LOSSES.items():
        config.students[name] = mimic(nets, f'250L-{nets.units}', **changes)
        show(config, name, f'students.{name}', label)


LOSSES = {
    'logits': ('logits (equation 1)', {'kind': 'logits'}),
    'standardised': ('standardised logits', {'kind': 'standardised_logits'}),
    'probabilities': ('probabilities, squared error', {'kind': 'probabilities'}),
    'kl': ('KL divergence', {'kind': 'kl'}),
    'kl_3': ('KL divergence, temperature 3', {'kind': 'kl', 'temperature': 3.0}),
    'hinton': (
        'Hinton: .9 soft at temperature 3, .1 hard',
        {'kind': 'hinton', 'temperature': 3.0, 'soft_weight': 0.9},
    ),
}
CLAIMS = {'bottleneck': bottleneck, 'losses': losses}
PRESETS = (*CLAIMS, *(f'{claim},sample' for claim in CLAIMS))


def show(config, name, source, label, **changes):
    """Adds a row to the report."""
    config.report.order += (name,)
    config.report.rows[name] = {
        'source': source,
        'label': label,
        'curve': '',
        'x': 0.0,
        'line': False,
        **changes,
    }


def member(nets, model, seed, subset=1.0):
    return {'model': model, 'seed': seed, 'subset': subset, 'train': train(**nets.train)}


def mimic(nets, model, kind='logits', **loss):
    return {
        'model': model,
        'budget': 0.0,
        'target': 'logits',
        'logits': 'ecnn',
        'loss': {'kind': kind, 'scale': 0.5, 'temperature': 1.0, 'soft_weight': 0.5, **loss},
        'train': train(**{**nets.mimic_train, 'clip_norm': 1.0}),
        'seeds': nets.seeds,
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
