"""Handwritten digits: the whole pipeline on data that comes with scikit-learn, in about a minute.

    python -m mimic_jax.main --config=experiments/digits_student.py

200 labelled digits to train, 100 to validate, 500 to test; the other 997 without their labels. Three
small CNNs teach a shallow net (linear bottleneck, ReLU layer), which is trained on the labels as well.
Every net sees digits shifted by up to a pixel. Expected on this split: ensemble 97.6%, student on
labels 95.9 ± .3, student mimicking 97.3 ± .3.

Rates, dropout and clipping were chosen on the validation examples of splits 0, 1 and 2
(benchmarks/tune.py), twelve trials for the student on labels, five for the mimic, at 2,500 and 3,500 steps;
the runs here are shorter, to fit a minute.
"""

import ml_collections


def get_config(arg=''):
    if arg:
        raise ValueError(f'unknown preset {arg!r}; this file has none')
    config = ml_collections.ConfigDict()
    config.data = {
        'name': 'digits',
        'root': '',
        'train': 200,
        'validation': 100,
        'test': 500,
        'unlabelled': -1,
        'seed': 0,
        'preprocess': 'scale',
    }
    config.views = {'seed': 0, 'mirror': False, 'shift': 1, 'padding': 'zero'}
    config.members = {
        f'cnn_{number}': {
            'model': '32c3-p2-64c3-p2-128-d.5',
            'seed': number,
            'subset': 1.0,
            'train': train(epochs=120, batch_size=50, learning_rate=0.05),
        }
        for number in (1, 2, 3)
    }
    config.logits = {
        'ensemble': {
            'members': ('cnn_1', 'cnn_2', 'cnn_3'),
            'transfer': ('train', 'unlabelled'),
            'views': 30,
            'dtype': 'float16',
        }
    }
    config.students = {
        'labels': {
            'model': 'd.1-32L-2000-d.5',
            'budget': 0.0,
            'target': 'labels',
            'logits': '',
            'loss': loss('cross_entropy'),
            'train': train(epochs=250, batch_size=50, learning_rate=0.1),
            'seeds': (0, 1, 2),
        },
        'mimic': {
            'model': '32L-2000',
            'budget': 0.0,
            'target': 'logits',
            'logits': 'ensemble',
            'loss': loss('logits'),
            'train': train(epochs=120, learning_rate=0.1, clip_norm=4.0),
            'seeds': (0, 1, 2),
        },
    }
    config.report = {
        'ensemble': 'ensemble',
        'order': ('teacher', 'ensemble', 'labels', 'mimic'),
        'rows': {
            'teacher': {'source': 'members.cnn_1', 'label': 'one teacher', 'paper': -1.0},
            'ensemble': {'source': 'logits.ensemble', 'label': 'ensemble', 'paper': -1.0},
            'labels': {'source': 'students.labels', 'label': 'student on labels', 'paper': -1.0},
            'mimic': {'source': 'students.mimic', 'label': 'student mimicking', 'paper': -1.0},
        },
    }
    config.run = {
        'log_steps': 100,
        'evaluation_steps': 250,
        'checkpoint_steps': 500,
        'steps_per_call': 0,
        'model_axis': 1,
        'placement': 'auto',
        'evaluation_batch_size': 500,
    }
    return config


def loss(kind):
    """A loss; equation 1 of Ba & Caruana is 'logits' with scale ½. Each kind reads what it needs."""
    return {'kind': kind, 'scale': 0.5, 'temperature': 1.0, 'soft_weight': 0.5}


def train(**changes):
    """Settings of one training run; `changes` replace the common ones."""
    return {
        'epochs': 100,
        'batch_size': 128,
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
