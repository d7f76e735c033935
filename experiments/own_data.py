"""Your own data: an ensemble of small nets, and a shallow net that mimics it. Copy and change.

    python -m mimic_jax.main --config=experiments/own_data.py --config.data.root=images
    python -m mimic_jax.main --config=experiments/own_data.py:tfds --config.data.name=tfds:cifar100
    python -m mimic_jax.main --config=experiments/own_data.py:npz --config.data.root=images.npz
    python -m mimic_jax.main --config=experiments/own_data.py:table --config.data.root=table.npz

Without a preset the data are images, one folder a class, of any size and number of channels that all share.
It reproduces nothing. Nets, rates and numbers of epochs are a start, good enough for some thousands of
small images. Time and score depend on the data. Choose on the validation split.

Settings that are not set here have their defaults; `--phase=settings` prints them all, with meanings.
"""

from mimic_jax.config import presets

MEMBERS = ('cnn_1', 'cnn_2', 'cnn_3')


def get_config(arg=''):
    config = {
        # Advice that a long run prints at its start.
        'presets': (
            'tfds reads a data set of TensorFlow Datasets',
            'npz reads images from an .npz file',
            'table reads features from an .npz file',
        ),
        'data': {
            # 'folder': images below `root`, one folder a class, named by the class: root/cat/1.png. With
            # a test split of your own: root/train/cat/1.png and root/test/cat/2.png.
            'name': 'folder',
            'root': '',
            # How many examples train, 0 for all that are left. Further examples lose their labels and
            # join the transfer set: so you can see what mimicking does with few labels.
            'train': 0,
            # How many validate: rates and epochs are chosen on them.
            'validation': 500,
            # How many test, set aside first. 0 takes all of a test split that comes with the data.
            'test': 500,
            # At most so many unlabelled examples in the transfer set; -1 for all.
            'unlabelled': -1,
            # Draws the splits. Another seed divides the data otherwise and makes other artifacts.
            'seed': 0,
            # 'image': each image minus its mean, divided by its deviation. 'scale': divided by 255, for
            # drawings and digits. 'gcn_zca': whitened as in Ba & Caruana. 'feature': each column of a
            # table minus its mean, divided by its deviation.
            'preprocess': 'image',
            # Unlabelled images of the same size from elsewhere: 'folder' or 'npz' with their `root`, or
            # 'tfds' with its `name` and `split`. For a table, 'munge' makes `limit` synthetic rows from
            # the training rows.
            'transfer': {'kind': 'none'},
        },
        # Every net sees images mirrored and shifted by up to so many pixels. Turn the mirror off for
        # letters, digits and anything else that a mirror changes.
        'views': {'mirror': True, 'shift': 2, 'padding': 'reflect'},
        # The ensemble, in the papers' notation (docs/design.md). Images larger than 64×64 need more
        # pools, so that the last layer stays small.
        'members': {
            name: {
                'model': '32c3-bn-p2-64c3-bn-p2-128c3-bn-p2',
                'seed': seed,
                'train': {'epochs': 40, 'learning_rate': 0.05, 'weight_decay': 5e-4},
            }
            for seed, name in enumerate(MEMBERS, 1)
        },
        # The ensemble's logits on the transfer set are written once, on so many views of each example.
        # Give `source` in the members' place to teach by a model of your own (see
        # examples/forest_teacher.py).
        'logits': {'ensemble': {'members': MEMBERS, 'views': 8}},
        # The same shallow net twice: on the labels, and on the ensemble's logits.
        'students': {
            'labels': {
                'model': '32c5-p2-200L-2000',
                'train': {'epochs': 40, 'learning_rate': 0.05, 'clip_norm': 1.0},
                'seeds': (0, 1, 2),  # nets that the report averages over
            },
            'mimic': {
                'model': '32c5-p2-200L-2000',
                'target': 'logits',
                'logits': 'ensemble',
                'loss': {'kind': 'logits'},  # Ba & Caruana's equation 1
                'train': {'epochs': 40, 'learning_rate': 0.1, 'clip_norm': 1.0},
                'seeds': (0, 1, 2),
            },
        },
        # The report's rows, in this order; agreement is measured with the ensemble.
        'report': presets.report(
            'ensemble',
            {
                'teacher': presets.row('members.cnn_1', 'one teacher'),
                'ensemble': presets.row('logits.ensemble', 'ensemble'),
                'labels': presets.row('students.labels', 'student on labels'),
                'mimic': presets.row('students.mimic', 'student mimicking'),
            },
        ),
        # Steps between evaluations and checkpoints; they change no result.
        'run': {'evaluation_steps': 200, 'checkpoint_steps': 200},
    }
    return presets.build(config, PRESETS, arg)


def tfds(config):
    """A data set of TensorFlow Datasets, prepared in array_record files; its classes have names."""
    config.data.name = 'tfds:fashion_mnist'  # or cifar100, svhn_cropped, imagenet_resized/32x32, …
    config.data.root = ''  # of TFDS; empty: $TFDS_DATA_DIR or ~/tensorflow_datasets
    config.data.validation = 5000
    config.data.test = 0  # all of its split 'test', or else 'validation'


def npz(config):
    """`images` [N, H, W, C] uint8 and `labels` [N]; docs/inputs.md lists what else the file may hold."""
    config.data.name = 'npz'


def table(config):
    """`features` [N, F] and `labels` [N]: no views, no convolutions, synthetic rows to mimic on."""
    config.data.update({'name': 'npz', 'preprocess': 'feature'})
    config.data.transfer.update({'kind': 'munge', 'limit': 20_000, 'spread': 2.0})
    config.views.update({'mirror': False, 'shift': 0, 'padding': 'zero'})
    config.logits.ensemble.views = 1
    for member in config.members.values():
        member.model = '500-d.3-500-d.3'
    for student in config.students.values():
        student.model = '64-64'


PRESETS = {'tfds': tfds, 'npz': npz, 'table': table}
