"""A table with a real-valued target: gradient boosting of 500 trees, and a small net that mimics it.

    python -m mimic_jax.main --config=experiments/tabular_values.py

Buciluă, Caruana & Niculescu-Mizil compressed ensembles of trees into small nets ("Model compression",
KDD 2006); their targets were classes. Here the target is a number: Friedman's first benchmark
("Multivariate adaptive regression splines", 1991, section 4.3), as scikit-learn draws it. Five of ten
features matter, and noise leaves 96.4% of the variance to be explained. Of 12,000 rows 300 train, 200
validate and 2,000 test; 9,500 have no labels. The teacher is examples/boosting_teacher.py, fitted to the
300 rows. A net of two layers of 32 units learns its answers to the 300 and the 9,500. The same net is
trained on the 300 values as well.

Expected, R² on test: gradient boosting 89.4%, net on labels 82.6 ± 2.7, net mimicking 90.5 ± .3 (RMSE 1.66,
2.12, 1.57; n = 3). Rates and epochs were set once and not tuned. It took 121 s on two cores that other
programs had busy.
"""

from mimic_jax.config import presets


def get_config(arg=''):
    on_labels = {'epochs': 200, 'batch_size': 50, 'clip_norm': 1.0, 'weight_decay': 1e-3}
    config = {
        'data': {
            'name': 'sklearn:friedman1',
            'task': 'regression',
            'train': 300,
            'validation': 200,
            'test': 2000,
            'preprocess': 'feature',
        },
        'logits': {
            'boosting': {
                'source': {
                    'kind': 'fit',
                    'path': ('examples.boosting_teacher:fit',),
                    'version': '1',
                },
                'transfer': ('train', 'unlabelled'),
                'dtype': 'float32',
            }
        },
        'students': {
            'labels': presets.on_labels('32-32', **on_labels),
            'mimic': presets.mimic('32-32', 'boosting', epochs=40, clip_norm=1.0),
        },
        'report': presets.report(
            'boosting',
            {
                'boosting': presets.row('logits.boosting', 'gradient boosting'),
                'labels': presets.row('students.labels', 'net on labels'),
                'mimic': presets.row('students.mimic', 'net mimicking'),
            },
        ),
        'run': {'log_steps': 100, 'evaluation_steps': 500, 'checkpoint_steps': 1000},
    }
    return presets.build(config, arg=arg)
