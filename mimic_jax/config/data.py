"""Settings of the data and of their views."""

import dataclasses

from mimic_jax.config import rules
from mimic_jax.settings import as_json, one_of, setting


@dataclasses.dataclass(frozen=True)
class Unlabelled:
    """Images without labels from elsewhere, of the data set's own size and number of channels.

    `kind` 'npz': the array `unlabelled`, or else `images`, [N, H, W, C] uint8, of the .npz file
    `root`; also a single array's .npy file. 'folder': all files below `root`, hidden ones aside, in
    the order of their names, in any format that Pillow opens. 'tfds': the `split` of `name`, a data
    set that TensorFlow Datasets has prepared in array_record files under `root` (when empty, under
    $TFDS_DATA_DIR or ~/tensorflow_datasets).

    'munge': `limit` rows of a table, made of the training examples by Buciluă et al.'s MUNGE with
    their p `swap` and s `spread` (see `mimic_jax.ops.munge`).

    Ba & Caruana's million Tiny Images are withdrawn; ImageNet resized to 32×32, TFDS's
    'imagenet_resized/32x32', is the natural substitute for CIFAR-10.

    A change here is other data, for which every net is trained anew; to compare transfer sets of
    several sizes, leave it and set the `limit` of `config.logits.NAME`.
    """

    kind: str = one_of('none', ('none', 'npz', 'folder', 'tfds', 'munge'))
    root: str = ''
    name: str = ''
    split: str = 'train'
    limit: int = setting(0, rules.FROM_0)  # images at most, the first of them; 0: all
    swap: float = setting(0.5, rules.TO_1)
    spread: float = setting(1.0, rules.POSITIVE)


@dataclasses.dataclass(frozen=True)
class Data:
    """Which examples, and how they are divided.

    `name` is 'digits', 'cifar10', 'timit', or one's own: 'npz', arrays in the file `root`; 'folder',
    images below `root` in a folder a class; 'tfds:NAME', image classification from TensorFlow
    Datasets, prepared in array_record files under `root` (when empty, under $TFDS_DATA_DIR or
    ~/tensorflow_datasets); 'sklearn:NAME', a table that comes with scikit-learn.

    `test` examples are set aside first (all of a data set's own test split when it has one and
    `test` is 0), then `validation` and `train` are drawn from the rest by `seed`; `train` 0 means
    all that remain. What is left over loses its labels and becomes the split 'unlabelled', followed
    by the source's own unlabelled examples and by the images of `transfer`. Of all these, images
    that equal a validation or test image in every pixel are left out, and the report says how many.
    `mimic_jax.data.preprocess.apply` says what each kind of `preprocess` does.

    'timit' is divided by speaker instead, and its examples are frames. `split` 'official': TIMIT's
    training set, its 50 development and its 24 core test speakers. 'speakers': `validation` and
    `test` speakers drawn by `seed`, the others train. 'fold': the speakers that fold number `fold`
    of `folds` tests, then `validation` speakers. With `skip_bad` bad utterances are left out and
    counted instead of stopping preparation. 'flite' is a corpus like it that flite speaks first, twelve
    synthetic speakers for `split` 'speakers' or 'fold'; see `mimic_jax.data.flite`.
    """

    name: str = 'digits'
    root: str = ''
    train: int = setting(0, rules.FROM_0)
    validation: int = setting(0, rules.FROM_0)
    test: int = setting(0, rules.FROM_0)
    unlabelled: int = setting(-1, (lambda value: value >= -1, '-1 (all), 0 or more'))  # at most
    transfer: Unlabelled = Unlabelled()
    # The part of the training labels that is replaced by another class, drawn by the seed.
    label_noise: float = setting(0.0, rules.BELOW_1)
    seed: int = setting(0, rules.SEED)
    preprocess: str = one_of('image', ('image', 'feature', 'scale', 'gcn', 'gcn_zca'))
    split: str = one_of('official', ('official', 'speakers', 'fold'))
    fold: int = setting(0, rules.FROM_0)
    folds: int = setting(4, rules.FROM_1)
    skip_bad: bool = False


@dataclasses.dataclass(frozen=True)
class Views:
    """Augmentation: a mirror image with probability ½, and a shift by up to `shift` pixels.

    `seed` is that of a logit cache's views. A net trained on labels draws its views from its own seed.

    The others are Urban et al.'s, off at 0. `crop`: the side in pixels of the smallest square crop,
    resampled to the image's size. Their D and A of hue (1 is the whole circle), saturation and value
    are `hue`, `saturation`, `value` (shifts by up to ±D), `saturation_scale` and `value_scale`
    (factors from 1/(1 + A) to 1 + A).
    """

    seed: int = setting(0, rules.SEED)
    mirror: bool = False
    shift: int = setting(0, rules.FROM_0)
    padding: str = one_of('zero', ('zero', 'reflect'))
    crop: int = setting(0, (lambda value: value == 0 or value >= 2, '0 (off), or 2 or more pixels'))
    hue: float = setting(0.0, rules.TO_1)
    saturation: float = setting(0.0, rules.TO_1)
    value: float = setting(0.0, rules.TO_1)
    saturation_scale: float = setting(0.0, rules.NOT_NEGATIVE)
    value_scale: float = setting(0.0, rules.NOT_NEGATIVE)


def views_as_json(views: Views) -> dict:
    """Views without the augmentations that are off, but for the first ones, which are always named.

    Whatever artifacts are named by holds views in this form: an augmentation that is added later
    leaves the names of those made without it as they were.
    """
    always = ('seed', 'mirror', 'shift', 'padding')
    return {key: value for key, value in as_json(views).items() if key in always or value}
