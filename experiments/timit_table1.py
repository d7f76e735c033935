"""TIMIT: every row of Ba & Caruana's Table 1, with the paper's figures beside.

    python -m mimic_jax.main --config=experiments/timit_table1.py --config.data.root=FOLDER
    python -m mimic_jax.main --config=experiments/timit_table1.py:sample --config.data.root=FOLDER
    python -m mimic_jax.main --config=experiments/timit_table1.py:smoke --config.data.root=FOLDER

FOLDER holds TIMIT's TRAIN and TEST (LDC93S1, from the Linguistic Data Consortium). The whole run wants
GPUs or TPUs (`--config.run.model_axis` splits the 400,000 hidden units over several) and was not
measured here; its scores to expect are the paper's, beside every row. Eight rows of the paper and one
more: SNN-MIMIC-8k's very net on labels, so that both mimics have their twin. A stopped run goes on row
by row with the same command.

`:sample` is another setting, for a part of TIMIT in the same layout (16 speakers or more, TRAIN alone
will do): hidden layers a quarter as wide behind the paper's 250 linear units, an ensemble of four, and
one of four folds of speakers, which `--config.data.fold` chooses. All four, each speaker tested once:

    python benchmarks/timit_folds.py --root=FOLDER

Its rates are the best of three a side on the first fold's validation speakers, by frame accuracy
(`benchmarks/tune.py`): the mimic .05 50.4%, .2 52.1%, .6 51.4%; the net on labels .02 47.9%, .05 48.4%,
.15 46.3%. `:smoke` has tiny nets and takes minutes.

The paper gives architectures and results. Chosen here, besides what `timit_student.py` names: the same
settings for all nets on labels, and for both mimics. Targets standardised by class, the paper's section
2.2: `--config.students.mimic_8k.loss.kind=standardised_logits`. Decoding without the bigram:
`--config.decoding.language_model=none`.
"""

import ml_collections

BANDS = (8, 7, 9, 6, 10, 5, 11, 4, 12)  # that the members' filters span


def get_config(arg=''):
    config = whole()
    for preset in filter(None, arg.split(',')):
        if preset not in PRESETS:
            raise ValueError(f'unknown preset {preset!r}; this file has {", ".join(PRESETS)}')
        PRESETS[preset](config)
    return config


def whole():
    config = ml_collections.ConfigDict()
    config.presets = {
        'sample': 'has nets of a quarter of the widths, for a part of TIMIT',
        'smoke': 'takes some minutes',
    }
    config.data = {
        'name': 'timit',
        'root': '',
        'split': 'official',
        'fold': 0,
        'folds': 4,
        'validation': 0,
        'test': 0,
        'seed': 0,
        'skip_bad': False,
        'preprocess': 'feature',
    }
    deep, convolution = '2k-d.5-2k-d.5-2k-d.5', '150c15x{}v-p1x6/1x2-2k-d.5-2k-d.5-2k-d.5'
    config.alignment = {'rounds': 1, 'net': member(deep, 0)}
    config.members = {
        'dnn': member(deep, 1),
        'cnn': member(convolution.format(8), 0),
        **{
            f'cnn_{number}': member(convolution.format(bands), number, subset=0.9)
            for number, bands in enumerate(BANDS, 1)
        },
    }
    config.logits = {
        'ecnn': {
            'members': tuple(f'cnn_{number}' for number in range(1, 10)),
            'transfer': ('train',),
            'views': 1,
            'dtype': 'float16',
        }
    }
    config.students = {
        'snn_8k': student('8k-d.5'),
        'snn_50k': student('50k-d.5'),
        'snn_400k': student('250L-400k-d.5'),
        'labels_8k': student('250L-8k'),
        'mimic_8k': student('250L-8k', 'ecnn'),
        'mimic_400k': student('250L-400k', 'ecnn'),
    }
    config.decoding = {
        'language_model': 'bigram',
        'lm_scales': (1.0, 2.0, 4.0, 6.0),
        'penalties': (-4.0, 0.0, 4.0),
        'batch_size': 32,
    }
    config.report = {
        'ensemble': 'ecnn',
        'order': (
            *('snn_8k', 'snn_50k', 'snn_400k', 'dnn', 'cnn', 'ecnn'),
            *('mimic_8k', 'mimic_400k', 'labels_8k'),
        ),
        'rows': {
            'snn_8k': row(
                'students.snn_8k',
                'SNN-8k',
                0.231,
                '~12M',
                '~8k',
                '8,000 units between 1,845 inputs and 183 outputs have 16.2M parameters',
            ),
            'snn_50k': row('students.snn_50k', 'SNN-50k', 0.230, '~100M', '~50k'),
            'snn_400k': row('students.snn_400k', 'SNN-400k', 0.236, '~180M', '~400k'),
            'dnn': row('members.dnn', 'DNN', 0.219, '~12M', '~6k'),
            'cnn': row('members.cnn', 'CNN', 0.195, '~13M', '~10k'),
            'ecnn': row('logits.ecnn', 'ECNN', 0.185, '~125M', '~90k'),
            'mimic_8k': row(
                'students.mimic_8k',
                'SNN-MIMIC-8k',
                0.216,
                '~12M',
                '~8k',
                '250 linear and 8,000 hidden units have 3.9M parameters',
            ),
            'mimic_400k': row('students.mimic_400k', 'SNN-MIMIC-400k', 0.200, '~180M', '~400k'),
            'labels_8k': row('students.labels_8k', '250L-8k on labels'),
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


def sample(config):
    """One fold of a part of TIMIT: five rows, hidden layers a quarter as wide."""
    config.presets = {'smoke': 'takes some minutes'}
    config.data.split = 'fold'
    config.data.validation = 2
    settings = train(epochs=15, batch_size=128)
    deep, convolution = (f'{first}500-d.3-500-d.3-500-d.3' for first in ('', '38c15x{}v-p1x6/1x2-'))
    cut_members(config, deep, convolution, settings, ensemble=4)
    cut_students(config, '250L-2k-d.3', '250L-2k', seeds=(0, 1))
    config.students.snn.train = train(epochs=15, batch_size=128, clip_norm=1.0)
    config.students.mimic.train = train(epochs=20, batch_size=128, clip_norm=1.0, learning_rate=0.2)


def smoke(config):
    """Five rows with tiny nets and one seed, in minutes."""
    config.presets = {}
    config.data.split = 'fold'
    config.data.validation = 2
    settings = train(epochs=3, batch_size=128)
    cut_members(config, '128-128', '8c15x{}v-p1x6/1x2-128', settings, ensemble=2)
    cut_students(config, '32L-256', '32L-256', seeds=(0,))
    for entry in config.students.values():
        entry.train = train(epochs=3, batch_size=128, clip_norm=1.0)
    config.decoding.update({'lm_scales': (1.0, 3.0), 'penalties': (0.0,)})


PRESETS = {'sample': sample, 'smoke': smoke}


def cut_members(config, deep, convolution, settings, ensemble):
    """Other nets in the members' places, and an ensemble of fewer that the CNN is one of."""
    config.alignment.net.update({'model': deep, 'train': settings})
    config.members.dnn.update({'model': deep, 'train': settings})
    config.members.cnn.update({'model': convolution.format(BANDS[0]), 'train': settings})
    teachers = ('cnn', *(f'cnn_{number}' for number in range(2, ensemble + 1)))
    for number, bands in enumerate(BANDS, 1):
        name = f'cnn_{number}'
        if name in teachers:
            config.members[name].update({'model': convolution.format(bands), 'train': settings})
        else:
            del config.members[name]
    config.logits.ecnn.members = teachers


def cut_students(config, labels, mimic, seeds):
    """One shallow net on labels and one mimicking; they stand beside no figure of the paper."""
    config.students = {'snn': student(labels), 'mimic': student(mimic, 'ecnn')}
    for entry in config.students.values():
        entry.seeds = seeds
    config.report.order = ('snn', 'dnn', 'cnn', 'ecnn', 'mimic')
    config.report.rows = {
        'snn': row('students.snn', 'shallow net on labels'),
        'dnn': row('members.dnn', 'DNN'),
        'cnn': row('members.cnn', 'teacher CNN'),
        'ecnn': row('logits.ecnn', f'ensemble of {len(config.logits.ecnn.members)}'),
        'mimic': row('students.mimic', 'shallow net mimicking'),
    }


def row(source, label, paper=-1.0, parameters='', units='', note=''):
    """A row of the report, with the phone error rate and the sizes that the paper prints."""
    return {
        'source': source,
        'label': label,
        'paper': paper,
        'paper_parameters': parameters,
        'paper_units': units,
        'note': note,
    }


def member(model, seed, subset=1.0):
    return {'model': model, 'seed': seed, 'subset': subset, 'train': train()}


def student(model, logits=''):
    """A shallow net, on the logits of a cache or, without one, on labels."""
    return {
        'model': model,
        'budget': 0.0,
        'target': 'logits' if logits else 'labels',
        'logits': logits,
        'loss': {
            'kind': 'logits' if logits else 'cross_entropy',  # 'logits' with ½ is equation 1
            'scale': 0.5,
            'temperature': 1.0,
            'soft_weight': 0.5,
        },
        'train': train(clip_norm=1.0),
        'seeds': (0, 1, 2),
    }


def train(**changes):
    """Settings of one training run; `changes` replace the common ones."""
    return {
        'epochs': 20,
        'batch_size': 256,
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
