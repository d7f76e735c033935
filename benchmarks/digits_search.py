"""A search on digits in a minute, for benchmarks/kills.py: four tiny teachers, whose best two teach.

    python benchmarks/kills.py --config=benchmarks/digits_search.py --longest=60

All trials are quasi-random. Those that the Gaussian process suggests depend on which others had ended
by then, so that a search killed among them may find other nets.
"""

import ml_collections


def get_config():
    train = {'epochs': 8, 'batch_size': 50, 'learning_rate': 0.05, 'clip_norm': 1.0}
    return ml_collections.ConfigDict(
        {
            'data': {'train': 200, 'validation': 100, 'test': 500},
            'views': {'shift': 1},
            'members': {
                f'best_{rank}': {'from_study': {'study': 'digits', 'rank': rank}} for rank in (1, 2)
            },
            'logits': {'ensemble': {'members': ('best_1', 'best_2'), 'views': 4}},
            'students': {
                'mimic': {
                    'model': '16L-64',
                    'target': 'logits',
                    'logits': 'ensemble',
                    'loss': {'kind': 'logits'},
                    'train': train,
                },
            },
            'search': {
                'space': {
                    'rate': {'low': 0.02, 'high': 0.2, 'log': True},
                    'filters': {'low': 4, 'high': 12, 'int': True},
                },
                'member': {'model': '{filters}c3-bn-p2-16', 'train': train},
                'sets': {'rate': 'train.learning_rate'},
                'trials': 4,
                'startup': 4,
                'study': 'digits',
            },
            'run': {'checkpoint_steps': 4, 'evaluation_steps': 4},
        }
    )
