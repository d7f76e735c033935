"""TIMIT: Ba & Caruana's SNN-MIMIC-8k, a shallow net that mimics an ensemble of nine CNNs.

    python -m mimic_jax.main --config=experiments/timit_student.py --config.data.root=FOLDER
    python -m mimic_jax.main --config=experiments/timit_student.py:sample --config.data.root=FOLDER
    python -m mimic_jax.main --config=experiments/timit_student.py:smoke --config.data.root=FOLDER

Reproduces a row of the paper's Table 1: phone error rate 21.6% on the core test set. Beside it stand
its ensemble (18.5%), a teacher CNN (19.5%) and the shallow net on labels, SNN-8k (23.1%). The whole run
wants a GPU or TPU; none of it was measured. FOLDER holds TIMIT's TRAIN and TEST (LDC93S1, from the
Linguistic Data Consortium).

`:sample` and `:smoke` take any corpus in the same layout with 16 speakers or more; TRAIN alone is enough.
They divide it by speaker, so their figures are not comparable with published ones. `:sample` has nets of
a quarter of the widths. It takes no longer than a fold of `timit_table1.py:small`, which took 11 minutes
on 2 cores. `:smoke` runs every phase with tiny nets, in minutes.

The paper does not give the following; these choices are ours:
- 150 filters over 8 bands and all 15 frames, pools of 6 bands with stride 2: this geometry gives the
  printed 13M parameters;
- filters of the other members over 4 to 12 bands, and 90% of the training utterances for each member;
- rates, epochs, dropout; one round of realignment, by the paper's DNN.
The printed 12M parameters of SNN-8k and SNN-MIMIC-8k fit neither net: 8,000 units on 1,845 inputs have
16.2M, with 250 linear units before them 3.9M.
"""

from mimic_jax.config import presets, timit

# Speakers are drawn by the seed; the others train.
BY_SPEAKER = {'split': 'speakers', 'validation': 2, 'test': 4}
SAMPLE = {
    **timit.SMALL,
    'data': BY_SPEAKER,
    'ensemble': timit.NINE[:4],
    'train': {'epochs': 20},
    'label_train': {'epochs': 20},
}
SMOKE = {**timit.SMOKE, 'data': BY_SPEAKER, 'deep': '128', 'ensemble': timit.NINE[:2]}


def get_config(arg=''):
    rows = {
        'cnn': presets.row('members.cnn_1', 'teacher CNN', 0.195),
        'ecnn': presets.row('logits.ecnn', 'ECNN', 0.185),
        'labels': presets.row('students.labels', 'SNN-8k', 0.231),
        'mimic': presets.row('students.mimic', 'SNN-MIMIC-8k', 0.216),
    }
    config = {
        **timit.common(timit.WHOLE),
        'students': {
            'labels': timit.student(timit.WHOLE, '8k-d.5', seeds=(0, 1, 2)),
            'mimic': timit.student(timit.WHOLE, '250L-8k', 'ecnn', seeds=(0, 1, 2)),
        },
        'report': presets.report('ecnn', rows, latency=True),
        'presets': (
            'sample has nets of a quarter of the widths, for a part of TIMIT',
            'smoke takes some minutes',
        ),
    }
    return presets.build(config, PRESETS, arg)


def sample(config):
    """A part of TIMIT by speaker, four CNNs, a quarter of the widths."""
    cut(config, SAMPLE, '2000-d.3', '62L-2000', seeds=(0, 1, 2))


def smoke(config):
    """Two tiny CNNs, one seed, few epochs: every phase on real speech."""
    cut(config, SMOKE, '256', '32L-256', seeds=(0,))


PRESETS = {'sample': sample, 'smoke': smoke}


def cut(config, nets, labels, mimic, seeds):
    """Smaller nets for a smaller corpus, without the paper's figures."""
    timit.resize(config, nets)
    config.students = {
        'labels': timit.student(nets, labels, seeds=seeds),
        'mimic': timit.student(nets, mimic, 'ecnn', seeds=seeds),
    }
    config.report.rows = {
        'cnn': presets.row('members.cnn_1', 'one teacher'),
        'ecnn': presets.row('logits.ecnn', 'ensemble'),
        'labels': presets.row('students.labels', 'shallow net on labels'),
        'mimic': presets.row('students.mimic', 'shallow net mimicking'),
    }
