"""A table: a random forest of 500 trees, and a small net that mimics it on synthetic examples.

    python -m mimic_jax.main --config=experiments/tabular_student.py

What Buciluă, Caruana & Niculescu-Mizil used compression for ("Model compression", KDD 2006), on a table
that comes with scikit-learn: the 64 grey levels of handwritten digits as features, 500 rows to train,
200 to validate, 1,097 to test. The teacher is examples/forest_teacher.py, fitted to the 500 rows. It
labels them and 20,000 synthetic rows, which MUNGE makes of them; a net of two layers of 64 units learns
its probabilities. The same net is trained on the labels as well. Run it in the repository's root,
where Python finds examples/.

Expected on this split: forest 96.2%, net on labels 95.8 ± .2, net mimicking 96.5 ± .6, which is within
two standard errors. MUNGE's settings, rates and epochs were set once, and not tuned. It took 193 s at
low priority on two cores that other programs had busy.

    python benchmarks/tabular_student.py

prints accuracy, bytes and latency of forest and net.
"""

import ml_collections


def get_config(arg=''):
    if arg:
        raise ValueError(f'unknown preset {arg!r}; this file has none')
    config = ml_collections.ConfigDict()
    config.data = {
        'name': 'sklearn:digits',
        'root': '',
        'train': 0,  # all 500 that are left, so that what is unlabelled is synthetic alone
        'validation': 200,
        'test': 1097,
        'unlabelled': -1,
        'seed': 0,
        'preprocess': 'feature',
        'transfer': {
            'kind': 'munge',
            'root': '',
            'name': '',
            'split': 'train',
            'limit': 20000,
            'swap': 0.5,
            'spread': 2.0,
        },
    }
    config.views = {'seed': 0, 'mirror': False, 'shift': 0, 'padding': 'zero'}
    config.members = {}
    config.logits = {
        'forest': {
            'source': {
                'kind': 'fit',
                'path': ('examples.forest_teacher:fit',),
                'version': '1',
                'inputs': 'raw',
                'probabilities': True,
                'validation': '',
                'test': '',
            },
            'transfer': ('train', 'unlabelled'),
            'limit': 0,
            'views': 1,
            'dtype': 'float32',
        }
    }
    config.students = {
        'labels': {
            'model': '64-64-d.5',
            'budget': 0.0,
            'target': 'labels',
            'logits': '',
            'loss': loss('cross_entropy'),
            'train': train(epochs=150, batch_size=50, learning_rate=0.05),
            'seeds': (0, 1, 2),
        },
        'mimic': {
            'model': '64-64',
            'budget': 0.0,
            'target': 'logits',
            'logits': 'forest',
            'loss': loss('kl'),
            'train': train(epochs=20, learning_rate=0.1),
            'seeds': (0, 1, 2),
        },
    }
    config.report = {
        'ensemble': 'forest',
        'order': ('forest', 'labels', 'mimic'),
        'rows': {
            'forest': {'source': 'logits.forest', 'label': 'random forest', 'paper': -1.0},
            'labels': {'source': 'students.labels', 'label': 'net on labels', 'paper': -1.0},
            'mimic': {'source': 'students.mimic', 'label': 'net mimicking', 'paper': -1.0},
        },
    }
    config.run = {
        'log_steps': 100,
        'evaluation_steps': 500,
        'checkpoint_steps': 1000,
        'steps_per_call': 0,
        'model_axis': 1,
        'placement': 'auto',
        'evaluation_batch_size': 500,
    }
    return config


def loss(kind):
    """A loss. Each kind reads what it needs."""
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
        'clip_norm': 1.0,
        'dtype': 'float32',
        'init_scale': 1.0,
        **changes,
    }
