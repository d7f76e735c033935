"""Your own data: an ensemble of small nets, and a shallow net that mimics it. Copy and change.

    python -m mimic_jax.main --config=experiments/own_data.py --config.data.root=images
    python -m mimic_jax.main --config=experiments/own_data.py:tfds --config.data.name=tfds:cifar100
    python -m mimic_jax.main --config=experiments/own_data.py:npz --config.data.root=images.npz
    python -m mimic_jax.main --config=experiments/own_data.py:table --config.data.root=table.npz

Without a preset the data are images in a folder a class, of any size and number of channels, all alike.
It reproduces nothing: nets, rates and numbers of epochs are a start, good enough for some thousands of
small images; how long it takes and what it scores depends on the data. Choose on the validation split.
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
    # What a run says of presets when it will take long.
    config.presets = {
        'tfds': 'reads a data set of TensorFlow Datasets',
        'npz': 'reads images from an .npz file',
        'table': 'reads features from an .npz file',
    }
    config.data = {
        # 'folder': images below `root` in a folder a class, root/cat/1.png, which name the classes;
        # or root/train/cat/1.png and root/test/cat/2.png, where you have a test split of your own.
        'name': 'folder',
        'root': '',
        # How many examples train, 0 for all that are left. More labels than these lose theirs and
        # join the transfer set, which is how to see what mimicking does for few labels.
        'train': 0,
        # How many validate: rates and epochs are chosen on them.
        'validation': 500,
        # How many test, set aside first. Where the data have a test split of their own, 0 is all of it.
        'test': 500,
        # At most so many unlabelled examples in the transfer set; -1 for all.
        'unlabelled': -1,
        # Draws the splits. Another seed is another division of the data, and other artifacts.
        'seed': 0,
        # 'image': each image less its mean, over its deviation. 'scale': over 255, for drawings and
        # digits. 'gcn_zca': whitened as in Ba & Caruana. 'feature': each column of a table less its
        # mean, over its deviation.
        'preprocess': 'image',
        # Unlabelled images of the same size from elsewhere: kind 'folder', 'npz' or 'tfds'. Of a table,
        # kind 'munge' makes `limit` synthetic rows of the training rows.
        'transfer': {
            'kind': 'none',
            'root': '',
            'name': '',
            'split': 'train',
            'limit': 0,
            'swap': 0.5,
            'spread': 2.0,
        },
    }
    # Every net sees images mirrored and shifted by up to so many pixels. No mirror for letters and
    # digits, nor for anything else that a mirror changes.
    config.views = {'seed': 0, 'mirror': True, 'shift': 2, 'padding': 'reflect'}
    # The ensemble, in the README's notation. Images larger than 64×64 want more pools, so that the
    # last layer stays small.
    config.members = {
        f'cnn_{number}': {
            'model': '32c3-bn-p2-64c3-bn-p2-128c3-bn-p2',
            'seed': number,
            'subset': 1.0,
            'train': train(epochs=40, learning_rate=0.05, weight_decay=5e-4),
        }
        for number in (1, 2, 3)
    }
    # What it says of the transfer set is written down once, on so many views of each example. To teach
    # by a model of your own instead, give `source` (see examples/forest_teacher.py) in the members' place.
    config.logits = {
        'ensemble': {
            'members': ('cnn_1', 'cnn_2', 'cnn_3'),
            'transfer': ('train', 'unlabelled'),
            'views': 8,
            'dtype': 'float16',
        }
    }
    # The same shallow net twice: on the labels, and on the ensemble's logits.
    config.students = {
        'labels': {
            'model': '32c5-p2-200L-2000',
            'budget': 0.0,
            'target': 'labels',
            'logits': '',
            'loss': loss('cross_entropy'),
            'train': train(epochs=40, learning_rate=0.05, clip_norm=1.0),
            'seeds': (0, 1, 2),
        },
        'mimic': {
            'model': '32c5-p2-200L-2000',
            'budget': 0.0,
            'target': 'logits',
            'logits': 'ensemble',
            'loss': loss('logits'),
            'train': train(epochs=40, learning_rate=0.1, clip_norm=1.0),
            'seeds': (0, 1, 2),
        },
    }
    # The report's rows, in this order.
    config.report = {
        'ensemble': 'ensemble',
        'order': ('teacher', 'ensemble', 'labels', 'mimic'),
        'rows': {
            'teacher': {'source': 'members.cnn_1', 'label': 'one teacher', 'paper': -1.0},
            'ensemble': {'source': 'logits.ensemble', 'label': 'ensemble', 'paper': -1.0},
            'labels': {'source': 'students.labels', 'label': 'student on labels', 'paper': -1.0},
            'mimic': {'source': 'students.mimic', 'label': 'student mimicking', 'paper': -1.0},
        },
    }
    # Changes nothing that comes out: steps between lines of the log, evaluations and checkpoints.
    config.run = {
        'log_steps': 50,
        'evaluation_steps': 200,
        'checkpoint_steps': 200,
        'steps_per_call': 0,
        'model_axis': 1,
        'placement': 'auto',
        'evaluation_batch_size': 500,
    }
    return config


def tfds(config):
    """A data set of TensorFlow Datasets, prepared in array_record files; its classes have names."""
    config.presets = {}
    config.data.name = 'tfds:fashion_mnist'  # or cifar100, svhn_cropped, imagenet_resized/32x32, …
    config.data.root = ''  # of TFDS; empty: $TFDS_DATA_DIR or ~/tensorflow_datasets
    config.data.validation = 5000
    config.data.test = 0  # all of its split 'test', or else 'validation'


def npz(config):
    """`images` [N, H, W, C] uint8 and `labels` [N]; see the README for what else the file may hold."""
    config.presets = {}
    config.data.name = 'npz'


def table(config):
    """`features` [N, F] and `labels` [N]: no views, no convolutions, synthetic rows to mimic on."""
    config.presets = {}
    config.data.name = 'npz'
    config.data.preprocess = 'feature'
    config.data.transfer.update({'kind': 'munge', 'limit': 20000})
    config.views.update({'mirror': False, 'shift': 0, 'padding': 'zero'})
    config.logits.ensemble.views = 1
    for member in config.members.values():
        member.model = '500-d.3-500-d.3'
    for student in config.students.values():
        student.model = '64-64'


PRESETS = {'tfds': tfds, 'npz': npz, 'table': table}


def loss(kind):
    """A loss; equation 1 of Ba & Caruana is 'logits' with scale ½. Each kind reads what it needs."""
    return {'kind': kind, 'scale': 0.5, 'temperature': 1.0, 'soft_weight': 0.5}


def train(**changes):
    """Settings of one training run; `changes` replace the common ones."""
    return {
        'epochs': 40,
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
