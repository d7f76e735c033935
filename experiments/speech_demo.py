"""Speech without a corpus: the whole speech pipeline on synthetic speech in TIMIT's layout.

    apt-get install flite
    python -m mimic_jax.main --config=experiments/speech_demo.py
    python -m mimic_jax.main --config=experiments/speech_demo.py:smoke

flite's voices slt, rms and awb, each at four pitches and speeds, speak 96 sentences into the workdir
(six minutes of speech). Their phones and times become targets as TIMIT's would, and are realigned. The
rest is as in `timit_student.py`, small: an ensemble of two CNNs, a shallow net on labels, and the same
net on the ensemble's logits, decoded to phones and scored. Some minutes on 2 cores; `:smoke` has tiny
nets and takes about one.

The rows are labelled 'synthetic speech'. A synthesiser always speaks a phone alike, and test speakers
share their voices with training speakers: expect error rates far below TIMIT's.
"""

from mimic_jax.config import presets


def get_config(arg=''):
    rows = {
        'cnn': presets.row('members.cnn_1', 'synthetic speech: one teacher'),
        'ensemble': presets.row('logits.ensemble', 'synthetic speech: ensemble'),
        'labels': presets.row('students.labels', 'synthetic speech: net on labels'),
        'mimic': presets.row('students.mimic', 'synthetic speech: net mimicking'),
    }
    on_logits = {'epochs': 16, 'clip_norm': 1.0, 'learning_rate': 0.4}
    config = {
        'data': {
            'name': 'flite',
            'split': 'speakers',
            'validation': 2,
            'test': 3,
            'preprocess': 'feature',
        },
        'alignment': {'rounds': 1, 'net': {'model': '128', 'train': {'epochs': 8}}},
        'members': {
            'cnn_1': {'model': '16c15x8v-p1x6/1x2-256-d.3', 'seed': 1, 'train': {'epochs': 8}},
            'cnn_2': {'model': '16c15x6v-p1x6/1x2-256-d.3', 'seed': 2, 'train': {'epochs': 8}},
        },
        'logits': {'ensemble': {'members': ('cnn_1', 'cnn_2'), 'transfer': ('train',)}},
        'students': {
            'labels': presets.on_labels('100L-1000-d.3', (0, 1), epochs=8, clip_norm=1.0),
            'mimic': presets.mimic('100L-1000', 'ensemble', (0, 1), **on_logits),
        },
        'decoding': {'lm_scales': (1.0, 3.0), 'penalties': (-2.0, 0.0, 2.0)},
        'report': presets.report('ensemble', rows),
        'run': {'log_steps': 100, 'evaluation_batch_size': 2000},
        'presets': ('smoke takes about a minute',),
    }
    return presets.build(config, {'smoke': smoke}, arg)


def smoke(config):
    """Tiny nets, two epochs, one seed."""
    config.alignment.net.update({'model': '64', 'train': {'epochs': 2}})
    config.members.cnn_1.update({'model': '4c15x8v-p1x6/1x2-64', 'train': {'epochs': 2}})
    config.members.cnn_2.update({'model': '4c15x6v-p1x6/1x2-64', 'train': {'epochs': 2}})
    for student in config.students.values():
        student.update({'model': '32L-128', 'train': {'epochs': 2}, 'seeds': (0,)})
    config.decoding.penalties = (0.0,)


PRESETS = {'smoke': smoke}
