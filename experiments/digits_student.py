"""Handwritten digits: the whole pipeline on data that comes with scikit-learn, in about a minute.

    python -m mimic_jax.main --config=experiments/digits_student.py

200 labelled digits train, 100 validate and 500 test; the other 997 lose their labels. Three
small CNNs teach a shallow net (linear bottleneck, ReLU layer), which is trained on the labels as well.
Every net sees digits shifted by up to a pixel. Expected on this split: ensemble 97.6%, student on
labels 95.9 ± .3, student mimicking 97.3 ± .3.

Rates, dropout and clipping were chosen on the validation examples of splits 0, 1 and 2
(benchmarks/tune.py), twelve trials for the student on labels, five for the mimic, at 2,500 and 3,500 steps;
the runs here are shorter, to fit a minute.
"""

from mimic_jax.config import presets

MEMBERS = ('cnn_1', 'cnn_2', 'cnn_3')


def get_config(arg=''):
    config = {
        'data': {
            'name': 'digits',
            'train': 200,
            'validation': 100,
            'test': 500,
            'preprocess': 'scale',
        },
        'views': {'shift': 1},
        'members': {
            name: {
                'model': '32c3-p2-64c3-p2-128-d.5',
                'seed': seed,
                'train': {'epochs': 120, 'batch_size': 50},
            }
            for seed, name in enumerate(MEMBERS, 1)
        },
        'logits': {'ensemble': {'members': MEMBERS, 'views': 30}},
        'students': {
            'labels': {
                'model': 'd.1-32L-2000-d.5',
                'train': {'epochs': 250, 'batch_size': 50, 'learning_rate': 0.1},
                'seeds': (0, 1, 2),
            },
            'mimic': {
                'model': '32L-2000',
                'target': 'logits',
                'logits': 'ensemble',
                'loss': {'kind': 'logits'},  # Ba & Caruana's equation 1
                'train': {'epochs': 120, 'learning_rate': 0.1, 'clip_norm': 4.0},
                'seeds': (0, 1, 2),
            },
        },
        'report': presets.report(
            'ensemble',
            {
                'teacher': presets.row('members.cnn_1', 'one teacher'),
                'ensemble': presets.row('logits.ensemble', 'ensemble'),
                'labels': presets.row('students.labels', 'student on labels'),
                'mimic': presets.row('students.mimic', 'student mimicking'),
            },
        ),
        'run': {'log_steps': 100, 'evaluation_steps': 250, 'checkpoint_steps': 500},
    }
    return presets.build(config, arg=arg)
