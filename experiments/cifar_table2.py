"""CIFAR-10: every row of Ba & Caruana's Table 2, with the paper's figures beside.

    python -m mimic_jax.main --config=experiments/cifar_table2.py          # whole; wants a GPU or TPU
    python -m mimic_jax.main --config=experiments/cifar_table2.py:small    # within an hour on 2 cores
    python -m mimic_jax.main --config=experiments/cifar_table2.py:smoke    # minutes, a first look
    python -m mimic_jax.main --config=experiments/cifar_table2.py:kmeans   # Coates' features alone

Ten rows of the paper and two beside them: the mimic nets trained on labels without regularisation, so
that every mimic has its twin. A stopped run goes on row by row with the same command.

The paper gives architectures and results. Chosen here: 5×5 convolutions and 3×3 pools of stride 2 (the
teachers' without padding), rates, epochs, dropout rates. As in the paper, images are contrast normalised
and ZCA whitened; here whitening is fitted on all images that are trained on, unlabelled ones too. What
differs: 40,000 of the training images train and 10,000 validate; every net trained on labels sees
mirrored and shifted images (the paper's nets had no augmentation), so that no mimic owes its lead to its
views alone; the million unlabelled Tiny Images are withdrawn. Further views of the training images stand
in for them, or any other images that `config.data.transfer` names: ImageNet resized to 32×32 (TFDS
'imagenet_resized/32x32') is the natural substitute.

`:small` is another setting: 5,000 labels, 35,000 further training images without theirs, narrow nets,
no whitening. Its teachers, their cache and the last row are cifar_student.py:small's, used where the
workdir has them. Rates are those chosen there.
"""

import ml_collections

NARROW, WIDE = '64c5-p3/2-1200L-30k', '128c5-p3/2-1200L-30k'


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
        'small': 'takes about an hour on 2 CPU cores',
        'smoke': 'takes some minutes',
    }
    config.data = {
        'name': 'cifar10',
        'root': '',  # of TFDS; empty: $TFDS_DATA_DIR or ~/tensorflow_datasets
        'train': 40000,
        'validation': 10000,
        'test': 0,  # all 10,000 of the test split
        'unlabelled': -1,
        'seed': 0,
        'preprocess': 'gcn_zca',
        'transfer': {'kind': 'none', 'root': '', 'name': '', 'split': 'train', 'limit': 0},
    }
    config.views = {'seed': 0, 'mirror': True, 'shift': 4, 'padding': 'reflect'}
    deep = train(epochs=120, learning_rate=0.01, weight_decay=1e-3)
    models = {
        'dnn': ('2000-d.5-2000-d.5', deep),
        'hinton': ('64c5-p3/2s-lrn-64c5-ap3/2s-lrn-64c5-ap3/2s-16lc3-d.5', deep),
        'zeiler': ('64c5-sp3/2s-lrn-64c5-sp3/2s-lrn-128c5-sp3/2s-d.5', deep),
    }
    for number in (1, 2, 3, 4):
        models[f'cnn_{number}'] = ('128c5-sp3/2-128c5-sp3/2-128c5-sp3/2-1k-d.5', deep)
    config.members = {
        name: {
            'model': model,
            'seed': int(name[4:]) if name.startswith('cnn_') else 1,
            'subset': 1.0,
            'train': dict(settings),
        }
        for name, (model, settings) in models.items()
    }
    config.logits = {
        'cnn': cache(('cnn_1',)),
        'ecnn': cache(('cnn_1', 'cnn_2', 'cnn_3', 'cnn_4')),
    }
    on_labels = train(learning_rate=0.01, clip_norm=1.0)
    on_logits = train(learning_rate=0.03, clip_norm=1.0)
    config.students = {
        'snn': student(f'd.2-{WIDE}-d.5', on_labels),
        'labels_64c': student(NARROW, on_labels),
        'labels_128c': student(WIDE, on_labels),
        'cnn_mimic_64c': student(NARROW, on_logits, 'cnn'),
        'cnn_mimic_128c': student(WIDE, on_logits, 'cnn'),
        'ecnn_mimic': student(WIDE, on_logits, 'ecnn'),
    }
    config.baselines = {
        'kmeans': {
            'kind': 'kmeans_svm',
            'patches': 400000,
            'patch_size': 6,
            'centroids': 4000,
            'iterations': 50,
            'penalties': (100.0,),
            'seed': 0,
        }
    }
    convolution = "the paper's count of parameters cannot be all of the net's"
    config.report = {
        'ensemble': 'ecnn',
        'latency': True,
        'order': (
            *('dnn', 'snn', 'kmeans', 'hinton', 'zeiler', 'cnn', 'ecnn'),
            *('cnn_mimic_64c', 'cnn_mimic_128c', 'ecnn_mimic', 'labels_64c', 'labels_128c'),
        ),
        'rows': {
            'dnn': row('members.dnn', 'DNN', 0.422, '~10M', '4k'),
            'snn': row('students.snn', 'SNN-30k', 0.782, '~70M', '~190k'),
            'kmeans': row(
                'baselines.kmeans',
                'single-layer feature extraction',
                0.816,
                '~125M',
                '~3.7B',
                "the paper's ~125M and ~3.7B cannot be 4,000 filters' and their maps'",
            ),
            'hinton': row(
                'members.hinton', 'CNN of Hinton et al.', 0.844, '~10k', '~110k', convolution
            ),
            'zeiler': row(
                'members.zeiler', 'CNN of Zeiler & Fergus', 0.8487, '~56k', '~120k', convolution
            ),
            'cnn': row('members.cnn_1', 'teacher CNN', 0.880, '~35k', '~210k', convolution),
            'ecnn': row('logits.ecnn', 'ECNN', 0.890, '~140k', '~840k', convolution),
            'cnn_mimic_64c': row(
                'students.cnn_mimic_64c', 'SNN-CNN-MIMIC-30k, 64c', 0.846, '~54M', '~110k'
            ),
            'cnn_mimic_128c': row(
                'students.cnn_mimic_128c', 'SNN-CNN-MIMIC-30k, 128c', 0.849, '~70M', '~190k'
            ),
            'ecnn_mimic': row('students.ecnn_mimic', 'SNN-ECNN-MIMIC-30k', 0.858, '~70M', '~190k'),
            'labels_64c': row('students.labels_64c', '64c on labels'),
            'labels_128c': row('students.labels_128c', '128c on labels'),
        },
    }
    config.run = {
        'log_steps': 50,
        'evaluation_steps': 1,
        'checkpoint_steps': 1,
        'steps_per_call': 0,
        'model_axis': 1,
        'placement': 'auto',
        'evaluation_batch_size': 500,
    }
    return config


def small(config):
    """5,000 labels, 35,000 images without, narrow nets: every row in about an hour on 2 cores."""
    config.presets = {'smoke': 'takes some minutes'}
    config.data.train = 5000
    config.data.validation = 5000
    config.data.unlabelled = 35000
    config.data.preprocess = 'image'  # so that teachers and caches are cifar_student.py:small's
    # The papers' dropout of .5 keeps nets of these widths from fitting even their training images.
    labels = train(epochs=40, learning_rate=0.1, clip_norm=1.0)
    cut_members(
        config,
        {
            'dnn': ('500-d.2-500-d.2', labels),
            'hinton': ('16c5-p3/2s-lrn-16c5-ap3/2s-lrn-16c5-ap3/2s-16lc3-d.2', labels),
            'zeiler': ('16c5-sp3/2s-lrn-16c5-sp3/2s-lrn-32c5-sp3/2s-d.1', labels),
            'cnn': (
                '32c3-bn-p2-64c3-bn-p2-128c3-bn-p2',
                train(epochs=40, learning_rate=0.05, weight_decay=5e-4),
            ),
        },
    )
    cut_students(config, '16c5-p2-200L-2000', '32c5-p2-200L-2000', seeds=(0, 1, 2), views=6)
    config.students.snn.model = 'd.1-32c5-p2-200L-2000-d.2'
    for entry in config.students.values():
        entry.train = (
            train(epochs=6, learning_rate=0.3, clip_norm=1.0)
            if entry.target == 'logits'
            else train(epochs=48, learning_rate=0.1, clip_norm=1.0)
        )
    config.baselines.kmeans.update({'patches': 100000, 'centroids': 400})
    config.run.evaluation_steps = 200
    config.run.checkpoint_steps = 200


def smoke(config):
    """Every row on a subset with tiny nets and one seed, in minutes."""
    config.presets = {}
    config.data.train = 1000
    config.data.validation = 500
    config.data.test = 1000
    config.data.unlabelled = 2000
    config.data.preprocess = 'gcn'  # a thousand images are too few for ZCA's 3,072 dimensions
    brief = train(epochs=6, batch_size=50, learning_rate=0.02)
    cut_members(
        config,
        {
            'dnn': ('100-d.5-100-d.5', brief),
            'hinton': ('8c5-p3/2s-lrn-8c5-ap3/2s-lrn-8c5-ap3/2s-4lc3-d.5', brief),
            'zeiler': ('8c5-sp3/2s-lrn-8c5-sp3/2s-lrn-16c5-sp3/2s-d.5', brief),
            'cnn': ('16c3-bn-p2-32c3-bn-sp2-64-d.5', brief),
        },
        ensemble=2,
    )
    cut_students(config, '8c5-p2-50L-500', '16c5-p2-50L-500', seeds=(0,), views=2)
    for entry in config.students.values():
        epochs = 2 if entry.target == 'logits' else 6
        entry.train = train(epochs=epochs, batch_size=50, learning_rate=0.02, clip_norm=1.0)
    config.baselines.kmeans.update({'patches': 20000, 'centroids': 50, 'iterations': 10})


def kmeans(config):
    """The single-layer features alone, fitted on 49,000 training images, no net beside them."""
    config.presets = {}
    config.data.update({'train': 49000, 'validation': 1000, 'unlabelled': 0, 'preprocess': 'image'})
    config.members = {}
    config.logits = {}
    config.students = {}
    config.report.ensemble = ''
    config.report.order = ('kmeans',)
    config.report.rows = {'kmeans': config.report.rows.kmeans}


PRESETS = {'small': small, 'smoke': smoke, 'kmeans': kmeans}


def cut_members(config, nets, ensemble=3):
    """Other nets in the members' places, and an ensemble of fewer of them."""
    teachers = config.logits.ecnn.members[:ensemble]
    for name in list(config.members):
        if name.startswith('cnn_') and name not in teachers:
            del config.members[name]
        else:
            model, settings = nets['cnn' if name.startswith('cnn_') else name]
            entry = config.members[name]
            entry.model = model
            entry.train = dict(settings)
    config.logits.ecnn.members = teachers


def cut_students(config, narrow, wide, seeds, views):
    """Other nets in the students' places; cut-down nets stand beside no figure of the paper."""
    for entry in config.students.values():
        entry.model = entry.model.replace(WIDE, wide).replace(NARROW, narrow)
        entry.seeds = seeds
    for entry in config.logits.values():
        entry.views = views
    for entry in config.report.rows.values():
        label = entry.label.replace('-30k', '').replace('128c', _filters(wide))
        entry.label = label.replace('64c', _filters(narrow))
        entry.update({'paper': -1.0, 'paper_parameters': '', 'paper_units': '', 'note': ''})


def _filters(model):
    """'32c' of '32c5-p2-200L-2000'."""
    return model[: model.index('c') + 1]


def row(source, label, paper=-1.0, parameters='', units='', note=''):
    """A row of the report, with what the paper prints beside it."""
    return {
        'source': source,
        'label': label,
        'paper': paper,
        'paper_parameters': parameters,
        'paper_units': units,
        'note': note,
    }


def cache(members):
    """The logits of an ensemble on 80 views of every image that may be trained on."""
    return {
        'members': members,
        'transfer': ('train', 'unlabelled'),
        'limit': 0,
        'views': 80,
        'dtype': 'float16',
    }


def student(model, settings, logits=''):
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
        'train': dict(settings),
        'seeds': (0, 1, 2),
    }


def train(**changes):
    """Settings of one training run; `changes` replace the common ones."""
    return {
        'epochs': 80,
        'batch_size': 128,
        'learning_rate': 0.02,
        'schedule': 'cosine',
        'warmup': 0.05,
        'momentum': 0.9,
        'weight_decay': 0.0,
        'clip_norm': 0.0,
        'dtype': 'float32',
        'init_scale': 1.0,
        **changes,
    }
