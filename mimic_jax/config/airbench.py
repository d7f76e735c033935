"""Teachers that cost little, by the recipes of airbench (Jordan 2024, arXiv 2404.00498).

experiments/fast_teachers.py says what they reach and what differs from Jordan's.
"""

NETS = {  # by recipe: the accuracy that it is for, or 'muon', which is for 94% too
    '94': {},
    'muon': {'scale': 1 / 256, 'head': 1.0},
    '95': {'widths': (128, 384, 384)},
    '96': {'widths': (128, 384, 512), 'depth': 3, 'decay': 0.9},
}
_SGD = {  # epochs, rate, decay
    '94': (10, 11.5, 0.0153),
    '95': (15, 10, 0.0153),
    '96': (37, 9, 0.012),
}


def members(count: int, recipe: str = '94', prefix: str = 'fast') -> dict:
    """Teachers fast_1 and so on, which differ only in their seeds."""
    return {
        f'{prefix}_{seed}': {
            'model': 'flax:examples.airbench:Airbench',
            'model_args': dict(NETS[recipe]),
            'seed': seed,
            'train': _muon() if recipe == 'muon' else _sgd(recipe),
        }
        for seed in range(1, count + 1)
    }


def views(recipe: str = '94') -> dict:
    """Mirrored in turns and shifted; for 96% shifted further, with a square cut out."""
    moved = {'mirror': True, 'alternate': True, 'shift': 2, 'padding': 'reflect'}
    return {**moved, 'shift': 4, 'cutout': 12} if recipe == '96' else moved


def _sgd(name):
    """Jordan's rates are for losses summed over 1,024 examples and divided by 1 + 1 / (1 − momentum)."""
    epochs, rate, decay = _SGD[name]
    schedule = {'warmup': 0.23, 'warmup_from': 0.2, 'final_rate': 0.07}
    if name == '96':
        schedule = {'warmup': 0.1, 'warmup_from': 0.2, 'final_rate': 0.0}
    return {
        'epochs': epochs,
        'batch_size': 1024,
        'learning_rate': rate / (1 + 1 / (1 - 0.85)),
        'momentum': 0.85,
        'weight_decay': decay / rate,
        'groups': {
            'norms': {
                'parameters': 'norm_./bias$',
                'rate': 64.0,
                'weight_decay': decay / rate / 64,
            },
            'whitening': {'parameters': '^whitening/bias$', 'weight_decay': decay / rate},
        },
        'schedule': 'linear',
        **schedule,
        'label_smoothing': 0.2,
        'average': 'lookahead',
        'lookahead_period': 5,
        'lookahead_decay': 0.95**5,
        'lookahead_power': 3.0,
    }


def _muon():
    """Muon has a rate of its own. The other parameters' rates are for losses summed over 2,000 examples."""
    rate, batch = 0.24, 2000
    return {
        'epochs': 8,
        'batch_size': batch,
        'optimizer': 'muon',
        'learning_rate': rate,
        'momentum': 0.6,
        'muon_steps': 3,
        'muon_rescale': True,
        'companion': 'sgd',
        'companion_momentum': 0.85,
        'groups': {
            'head': {'parameters': '^head', 'rate': 0.67 * batch / rate, 'companion': True},
            'biases': {'parameters': 'bias$', 'rate': 0.053 * batch / rate},
        },
        'schedule': 'linear',
        'warmup': 0.0,
        'label_smoothing': 0.2,
    }
