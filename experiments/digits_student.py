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


def get_config(arg=''):
    teachers = presets.members(3, '32c3-p2-64c3-p2-128-d.5', {'epochs': 120, 'batch_size': 50})
    on_labels = {'epochs': 250, 'batch_size': 50, 'learning_rate': 0.1}
    on_logits = {'epochs': 120, 'learning_rate': 0.1, 'clip_norm': 4.0}
    config = {
        'data': {
            'name': 'digits',
            'train': 200,
            'validation': 100,
            'test': 500,
            'preprocess': 'scale',
        },
        'views': {'shift': 1},
        'members': teachers,
        'logits': {'ensemble': {'members': tuple(teachers), 'views': 30}},
        'students': {
            'labels': presets.on_labels('d.1-32L-2000-d.5', **on_labels),
            'mimic': presets.mimic('32L-2000', 'ensemble', **on_logits),
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
