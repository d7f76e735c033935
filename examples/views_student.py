"""A net that mimics a teacher which lives elsewhere, through files: see examples/answer_views.py.

    python -m mimic_jax.main --config=examples/views_student.py --phase=views --output=views

Handwritten digits, shifted by up to a pixel, in four views of each. `source.path` is the folder of the
answers; nothing has to lie there while the views are written. It takes half a minute on two cores.
"""

from mimic_jax.config import presets


def get_config(arg=''):
    config = {
        'data': {
            'name': 'digits',
            'train': 500,
            'validation': 200,
            'test': 597,
            'preprocess': 'scale',
        },
        'views': {'shift': 1},
        'logits': {
            'forest': {'source': {'kind': 'logits', 'path': ('views',)}, 'views': 4},
        },
        'students': {
            'labels': {
                'model': '128-64',
                'train': {'epochs': 60, 'batch_size': 50, 'clip_norm': 1.0},
            },
            'mimic': {
                'model': '128-64',
                'target': 'logits',
                'logits': 'forest',
                'loss': {'kind': 'kl'},
                'train': {'epochs': 60, 'batch_size': 50, 'learning_rate': 0.1, 'clip_norm': 1.0},
            },
        },
        'report': presets.report(
            'forest',
            {
                'forest': presets.row('logits.forest', 'random forest, by files'),
                'labels': presets.row('students.labels', 'net on labels'),
                'mimic': presets.row('students.mimic', 'net mimicking'),
            },
        ),
        'run': {'log_steps': 50, 'evaluation_steps': 100, 'checkpoint_steps': 1000},
    }
    return presets.build(config, arg=arg)
