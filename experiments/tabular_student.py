"""A table: a random forest of 500 trees, and a small net that mimics it on synthetic examples.

    python -m mimic_jax.main --config=experiments/tabular_student.py

Buciluă, Caruana & Niculescu-Mizil used compression for this ("Model compression", KDD 2006). The table
comes with scikit-learn: the 64 grey levels of handwritten digits as features, 500 rows to train, 200 to
validate, 1,097 to test. The teacher is examples/forest_teacher.py, fitted to the 500 rows. It labels them
and 20,000 synthetic rows, which MUNGE makes of them. A net of two layers of 64 units learns its
probabilities. The same net is trained on the labels as well, with dropout.

Expected on this split: forest 96.2%, net on labels 95.8 ± .2, net mimicking 96.5 ± .6, which is within
two standard errors. MUNGE's settings, rates and epochs were set once, and not tuned. It took 193 s at
low priority on two cores that other programs had busy.

    python benchmarks/tabular_student.py

prints accuracy, bytes and latency of forest and net.
"""

from mimic_jax.config import presets


def get_config(arg=''):
    on_labels = {'epochs': 150, 'batch_size': 50, 'clip_norm': 1.0}
    on_logits = {'epochs': 20, 'learning_rate': 0.1, 'clip_norm': 1.0}
    config = {
        'data': {
            'name': 'sklearn:digits',
            'train': 0,  # all 500 that are left, so that only synthetic rows are unlabelled
            'validation': 200,
            'test': 1097,
            'preprocess': 'feature',
            'transfer': {'kind': 'munge', 'limit': 20_000, 'spread': 2.0},
        },
        'logits': {
            'forest': {
                'source': {
                    'kind': 'fit',
                    'path': ('examples.forest_teacher:fit',),
                    'version': '1',
                    'probabilities': True,
                },
                'dtype': 'float32',
            }
        },
        'students': {
            'labels': presets.on_labels('64-64-d.5', **on_labels),
            'mimic': presets.mimic('64-64', 'forest', loss={'kind': 'kl'}, **on_logits),
        },
        'report': presets.report(
            'forest',
            {
                'forest': presets.row('logits.forest', 'random forest'),
                'labels': presets.row('students.labels', 'net on labels'),
                'mimic': presets.row('students.mimic', 'net mimicking'),
            },
        ),
        'run': {'log_steps': 100, 'evaluation_steps': 500, 'checkpoint_steps': 1000},
    }
    return presets.build(config, arg=arg)
