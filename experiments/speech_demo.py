"""Speech without a corpus: synthetic speech in TIMIT's layout, and the whole of the speech side on it.

    apt-get install flite
    python -m mimic_jax.main --config=experiments/speech_demo.py
    python -m mimic_jax.main --config=experiments/speech_demo.py:smoke

flite's voices slt, rms and awb, each at four pitches and speeds, speak 96 sentences into the workdir
(six minutes of speech); their phones and times become targets as TIMIT's would, and are realigned.
Then as in `timit_student.py`, small: an ensemble of two CNNs, a shallow net on labels, and the same
net on the ensemble's logits, decoded to phones and scored. Some minutes on 2 cores; `:smoke` has tiny
nets and takes about one.

The rows say that the speech is synthetic: a synthesiser says a phone always alike, and the test
speakers' voices are those of training speakers. Expect error rates far below TIMIT's.
"""

import ml_collections


def get_config(arg=''):
    config = whole()
    for preset in filter(None, arg.split(',')):
        if preset not in PRESETS:
            raise ValueError(f'unknown preset {preset!r}; this file has {", ".join(PRESETS)}')
        PRESETS[preset](config)
    return config


def whole():
    config = ml_collections.ConfigDict()
    config.presets = {'smoke': 'takes about a minute'}
    config.data = {
        'name': 'flite',
        'root': '',
        'split': 'speakers',
        'validation': 2,
        'test': 3,
        'seed': 0,
        'skip_bad': False,
        'preprocess': 'feature',
    }
    config.alignment = {'rounds': 1, 'net': member('128', 0)}
    config.members = {
        'cnn_1': member('16c15x8v-p1x6/1x2-256-d.3', 1),
        'cnn_2': member('16c15x6v-p1x6/1x2-256-d.3', 2),
    }
    config.logits = {
        'ensemble': {
            'members': ('cnn_1', 'cnn_2'),
            'transfer': ('train',),
            'views': 1,
            'dtype': 'float16',
        }
    }
    config.students = {
        'labels': student('100L-1000-d.3', 'cross_entropy'),
        'mimic': student('100L-1000', 'logits', epochs=16, learning_rate=0.4),
    }
    config.decoding = {
        'language_model': 'bigram',
        'lm_scales': (1.0, 3.0),
        'penalties': (-2.0, 0.0, 2.0),
        'batch_size': 32,
    }
    config.report = {
        'ensemble': 'ensemble',
        'order': ('cnn', 'ensemble', 'labels', 'mimic'),
        'rows': {
            'cnn': {'source': 'members.cnn_1', 'label': 'synthetic speech: one teacher'},
            'ensemble': {'source': 'logits.ensemble', 'label': 'synthetic speech: ensemble'},
            'labels': {'source': 'students.labels', 'label': 'synthetic speech: net on labels'},
            'mimic': {'source': 'students.mimic', 'label': 'synthetic speech: net mimicking'},
        },
    }
    config.run = {
        'log_steps': 100,
        'evaluation_steps': 1,
        'checkpoint_steps': 1,
        'steps_per_call': 0,
        'model_axis': 1,
        'placement': 'auto',
        'evaluation_batch_size': 2000,
    }
    return config


def smoke(config):
    """Tiny nets, two epochs, one seed."""
    config.presets = {}
    config.alignment.net = member('64', 0, epochs=2)
    for name, bands in (('cnn_1', 8), ('cnn_2', 6)):
        config.members[name].update(
            {'model': f'4c15x{bands}v-p1x6/1x2-64', 'train': train(epochs=2)}
        )
    for entry in config.students.values():
        entry.model = '32L-128'
        entry.train.epochs = 2
        entry.seeds = (0,)
    config.decoding.update({'lm_scales': (1.0, 3.0), 'penalties': (0.0,)})


PRESETS = {'smoke': smoke}


def member(model, seed, **changes):
    return {'model': model, 'seed': seed, 'subset': 1.0, 'train': train(**changes)}


def student(model, kind, **changes):
    """A shallow net, two seeds; loss 'logits' with ½ is equation 1 of Ba & Caruana."""
    labels = kind == 'cross_entropy'
    return {
        'model': model,
        'budget': 0.0,
        'target': 'labels' if labels else 'logits',
        'logits': '' if labels else 'ensemble',
        'loss': {'kind': kind, 'scale': 0.5},
        'train': train(clip_norm=1.0, **changes),
        'seeds': (0, 1),
    }


def train(**changes):
    """Settings of one training run; `changes` replace the common ones."""
    return {
        'epochs': 8,
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
