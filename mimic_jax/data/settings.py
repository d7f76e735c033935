"""Settings of the data, and of further unlabelled examples."""

import dataclasses

from mimic_jax.config import rules
from mimic_jax.config.fields import Rule, setting

PREPROCESSING = ('image', 'channel', 'feature', 'scale', 'gcn', 'gcn_zca')
_SPOKEN = ('timit', 'flite')  # sources of speech
_TIMIT: Rule = (lambda data: data.name in _SPOKEN, "for 'timit' and 'flite'")
_DECODED: Rule = (
    lambda data: data.name == 'folder' or data.name.startswith('tfds:'),
    "for 'folder' and 'tfds:NAME'",
)
_FOLDS: Rule = (
    lambda data: data.name in _SPOKEN and data.split == 'fold',
    "where split is 'fold'",
)


@dataclasses.dataclass(frozen=True)
class Transfer:
    """Unlabelled examples from elsewhere, of the data set's own size and number of channels.

    Ba & Caruana's million Tiny Images are withdrawn. ImageNet resized to 32×32, TFDS's
    'imagenet_resized/32x32', is the natural substitute for CIFAR-10. A change here changes the data, so
    every net is trained anew. To compare transfer sets of several sizes, set the `limit` of
    `config.logits.NAME` instead.
    """

    kind: str = setting(
        'none',
        "'npz': the array `unlabelled`, or else `images`, [N, H, W, C] uint8, of the .npz file `root`, "
        "or a single array's .npy file. 'folder': all files below `root` in the order of their names, "
        "in any format that Pillow opens. 'tfds': the `split` of `name`, a data set that TensorFlow "
        "Datasets has prepared in array_record files under `root`. 'munge': synthetic rows of a table, "
        "made of the training rows by Buciluă et al.'s MUNGE.",
        choices=('none', 'npz', 'folder', 'tfds', 'munge'),
    )
    root: str = setting(
        '',
        'The file or folder to read; for TFDS the folder of its data sets, by default $TFDS_DATA_DIR '
        'or ~/tensorflow_datasets.',
        read=rules.kinds('npz', 'folder', 'tfds'),
    )
    name: str = setting('', "The TFDS data set's name.", read=rules.kinds('tfds'))
    split: str = setting('train', "The TFDS data set's split.", read=rules.kinds('tfds'))
    limit: int = setting(
        0,
        'How many examples at most, the first of them; 0 for all. MUNGE makes exactly so many.',
        rules.FROM_0,
        read=rules.kinds('npz', 'folder', 'tfds', 'munge'),
    )
    fit: str = setting(
        'none',
        "Images of other sizes than the data set's own. 'none': they are refused. 'cut': the largest "
        "centred part of the data set's proportions is resized. 'stretch': all of it is.",
        choices=('none', 'cut', 'stretch'),
        read=rules.kinds('folder', 'tfds'),
    )
    swap: float = setting(
        0.5,
        "MUNGE's p: the probability that a feature takes its nearest neighbour's value.",
        rules.TO_1,
        read=rules.kinds('munge'),
    )
    spread: float = setting(
        1.0,
        "MUNGE's s: a value is drawn with the distance to the neighbour's over s as deviation.",
        rules.POSITIVE,
        read=rules.kinds('munge'),
    )


@dataclasses.dataclass(frozen=True)
class Data:
    """Which examples there are, and how they are divided.

    `test` examples are set aside first, then `validation` and `train` are drawn from the rest by
    `seed`. What is left over loses its labels and becomes the split 'unlabelled', followed by the
    source's own unlabelled examples and by those of `transfer`. Images among these that equal a
    validation or test image in every pixel are left out, and the report counts them.
    """

    name: str = setting(
        'digits',
        "'digits', 'cifar10', 'timit', 'flite' (a small synthetic corpus in TIMIT's layout), or a "
        "person's own: 'npz', arrays in the file `root`; 'folder', images below `root` in a folder a "
        "class; 'tfds:NAME', image classification from TensorFlow Datasets, prepared in array_record "
        "files under `root`; 'sklearn:NAME', a table that comes with scikit-learn; 'arrays', what was "
        'passed to `mimic_jax.run`.',
    )
    root: str = setting(
        '',
        'The file or folder to read; for TFDS and CIFAR-10 the folder of TFDS data sets, by default '
        '$TFDS_DATA_DIR or ~/tensorflow_datasets.',
    )
    size: int = setting(
        0,
        'The side in pixels of a square that every image is resized to when it is read; 0: all images must '
        'have one size.',
        rules.FROM_0,
        read=_DECODED,
    )
    fit: str = setting(
        'cut',
        "How images are resized to `size`. 'cut': the largest centred square of each. 'stretch': all of "
        'it.',
        choices=('cut', 'stretch'),
        read=(
            lambda data: data.size and _DECODED[0](data),
            f'where size is above 0, {_DECODED[1]}',
        ),
    )
    train: int = setting(0, 'Training examples; 0 for all that remain.', rules.FROM_0)
    layout: str = setting(
        'auto',
        "How images in an .npz file are laid out. 'hwc': [N, H, W, C]; 'chw': [N, C, H, W], which become "
        "[N, H, W, C]. 'auto': as 'hwc', but a shape that looks like 'chw' is refused.",
        choices=('auto', 'hwc', 'chw'),
        read=(lambda data: data.name in ('npz', 'arrays'), "for 'npz'"),
    )
    twins: str = setting(
        'keep',
        "Training examples that equal a validation or test example in every value: 'keep', or 'drop' to "
        'train without them. Either way they are counted.',
        choices=('keep', 'drop'),
        read=(lambda data: data.name not in _SPOKEN, 'for all but speech'),
    )
    validation: int = setting(
        0,
        "Validation examples; 0 for all of a data set's own validation split where it has one. For speech, "
        'speakers.',
        rules.FROM_0,
    )
    test: int = setting(
        0,
        "Test examples; 0 for all of a data set's own test split where it has one. For speech, speakers.",
        rules.FROM_0,
    )
    unlabelled: int = setting(
        -1,
        'Examples in the split unlabelled at most; -1 for all.',
        (lambda value: value >= -1, '-1 (all), 0 or more'),
    )
    transfer: Transfer = Transfer()
    label_noise: float = setting(
        0.0,
        'The part of the training labels that is replaced by another class, drawn by the seed.',
        rules.BELOW_1,
    )
    task: str = setting(
        'classification',
        "What labels are. 'classification': classes. 'regression': real values, of one target or of "
        'several.',
        choices=('classification', 'regression'),
    )
    seed: int = setting(0, 'Draws the splits.', rules.SEED)
    preprocess: str = setting(
        'image',
        "What a net's inputs are. 'image': each image minus its mean, over its deviation. 'channel': "
        "each channel minus its mean, over its deviation, on the training split. 'scale': over 255. "
        "'feature': each feature minus its mean, over its deviation, on the training split. "
        "'gcn': each image minus its mean, to norm √(number of values). 'gcn_zca': that, then ZCA "
        'whitening fitted to all images that may be trained on.',
        choices=PREPROCESSING,
    )
    split: str = setting(
        'official',
        "Speech is divided by speaker. 'official': TIMIT's training set, its 50 development and 24 "
        "core test speakers. 'speakers': `validation` and `test` speakers drawn by `seed`. 'fold': "
        'the speakers of fold number `fold` of `folds` test, then `validation` speakers validate.',
        choices=('official', 'speakers', 'fold'),
        read=_TIMIT,
    )
    fold: int = setting(0, 'Which fold of speakers tests, from 0.', rules.FROM_0, read=_FOLDS)
    folds: int = setting(4, 'How many folds of speakers there are.', rules.FROM_1, read=_FOLDS)
    skip_bad: bool = setting(
        False,
        'Leave bad utterances out and count them, instead of stopping at the first.',
        read=_TIMIT,
    )
