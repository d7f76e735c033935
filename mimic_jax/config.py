"""The parts of a config as frozen dataclasses: checked, typed, hashable.

An experiment's ConfigDict is what people write and what flags change. Everything inside the package
works on these instead: they serve as static arguments of jitted functions and, as JSON, as the part of
a config that an artifact is named by.
"""

import dataclasses
from collections.abc import Iterable, Mapping

from mimic_jax.errors import UserError
from mimic_jax.search import space as spaces
from mimic_jax.search.space import Parameter
from mimic_jax.settings import as_json, nearest, one_of, section, setting

LOSSES = {  # and the settings that each reads
    'cross_entropy': (),
    'logits': ('scale',),
    'standardised_logits': ('scale',),
    'probabilities': ('scale',),
    'kl': ('temperature',),
    'hinton': ('temperature', 'soft_weight'),
}

_FROM_0 = (lambda value: value >= 0, '0 or more')
_FROM_1 = (lambda value: value >= 1, '1 or more')
_POSITIVE = (lambda value: 0 < value < float('inf'), 'a finite number above 0')
_NOT_NEGATIVE = (lambda value: 0 <= value < float('inf'), 'a finite number, 0 or more')
_TO_1 = (lambda value: 0 <= value <= 1, 'from 0 to 1')
_CROP = (lambda value: value == 0 or value >= 2, '0 (off), or 2 or more pixels')
_BELOW_1 = (lambda value: 0 <= value < 1, 'from 0 up to, but not including, 1')
# jax keeps 32 bits of a seed and drops the others without a word.
_SEED = (lambda value: 0 <= value < 2**32, f'from 0 to {2**32 - 1}')
_SEEDS = (
    lambda value: value and len(set(value)) == len(value) and all(map(_SEED[0], value)),
    f'a tuple of different seeds, at least one, each {_SEED[1]}',
)
_NAMES = (bool, 'a tuple of at least one name')
_SCALES = (
    lambda value: value and len(set(value)) == len(value) and all(map(_NOT_NEGATIVE[0], value)),
    f'a tuple of different numbers, at least one, each {_NOT_NEGATIVE[1]}',
)
_PENALTIES = (
    lambda value: (
        value and len(set(value)) == len(value) and all(abs(each) < float('inf') for each in value)
    ),
    'a tuple of different finite numbers, at least one',
)


@dataclasses.dataclass(frozen=True)
class Unlabelled:
    """Images without labels from elsewhere, of the data set's own size and number of channels.

    `kind` 'npz': the array `unlabelled`, or else `images`, [N, H, W, C] uint8, of the .npz file
    `root`; also a single array's .npy file. 'folder': all files below `root`, hidden ones aside, in
    the order of their names, in any format that Pillow opens. 'tfds': the `split` of `name`, a data
    set that TensorFlow Datasets has prepared in array_record files under `root` (when empty, under
    $TFDS_DATA_DIR or ~/tensorflow_datasets).

    Ba & Caruana's million Tiny Images are withdrawn; ImageNet resized to 32×32, TFDS's
    'imagenet_resized/32x32', is the natural substitute for CIFAR-10.
    """

    kind: str = one_of('none', ('none', 'npz', 'folder', 'tfds'))
    root: str = ''
    name: str = ''
    split: str = 'train'
    limit: int = setting(0, _FROM_0)  # images at most, the first of them; 0: all


@dataclasses.dataclass(frozen=True)
class Data:
    """Which examples, and how they are divided.

    `test` examples are set aside first (all of a data set's own test split when it has one and
    `test` is 0), then `validation` and `train` are drawn from the rest by `seed`; `train` 0 means
    all that remain. What is left over loses its labels and becomes the split 'unlabelled', followed
    by the source's own unlabelled examples and by the images of `transfer`. Of the latter two, images
    that equal a validation or test image in every pixel are left out, and the report says how many.
    `mimic_jax.data.preprocess.apply` says what each kind of `preprocess` does.

    'timit' is divided by speaker instead, and its examples are frames. `split` 'official': TIMIT's
    training set, its 50 development and its 24 core test speakers. 'speakers': `validation` and
    `test` speakers drawn by `seed`, the others train. 'fold': the speakers that fold number `fold`
    of `folds` tests, then `validation` speakers. With `skip_bad` bad utterances are left out and
    counted instead of stopping preparation.
    """

    name: str = 'digits'
    root: str = ''
    train: int = setting(0, _FROM_0)
    validation: int = setting(0, _FROM_0)
    test: int = setting(0, _FROM_0)
    unlabelled: int = setting(-1, (lambda value: value >= -1, '-1 (all), 0 or more'))  # at most
    transfer: Unlabelled = Unlabelled()
    # The part of the training labels that is replaced by another class, drawn by the seed.
    label_noise: float = setting(0.0, _BELOW_1)
    seed: int = setting(0, _SEED)
    preprocess: str = one_of('image', ('image', 'feature', 'scale', 'gcn', 'gcn_zca'))
    split: str = one_of('official', ('official', 'speakers', 'fold'))
    fold: int = setting(0, _FROM_0)
    folds: int = setting(4, _FROM_1)
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

    seed: int = setting(0, _SEED)
    mirror: bool = False
    shift: int = setting(0, _FROM_0)
    padding: str = one_of('zero', ('zero', 'reflect'))
    crop: int = setting(0, _CROP)
    hue: float = setting(0.0, _TO_1)
    saturation: float = setting(0.0, _TO_1)
    value: float = setting(0.0, _TO_1)
    saturation_scale: float = setting(0.0, _NOT_NEGATIVE)
    value_scale: float = setting(0.0, _NOT_NEGATIVE)


@dataclasses.dataclass(frozen=True)
class Train:
    """One run of stochastic gradient descent with Nesterov momentum.

    schedule 'plateau' halves the rate where the validation error stays, and then stops (Urban et al.
    2017; `mimic_jax.ops.plateau`): `epochs` is then the most there may be.
    """

    epochs: int = setting(10, _FROM_1)
    batch_size: int = setting(128, _FROM_1)
    learning_rate: float = setting(0.1, _POSITIVE)
    schedule: str = one_of('cosine', ('constant', 'cosine', 'plateau'))
    warmup: float = setting(0.0, _BELOW_1)  # part of all steps over which the rate rises from 0
    momentum: float = setting(0.9, _BELOW_1)
    weight_decay: float = setting(0.0, _NOT_NEGATIVE)  # L2 on kernels, added to the gradient
    clip_norm: float = setting(0.0, _NOT_NEGATIVE)  # bound on the gradient's global norm; 0: none
    dtype: str = one_of('float32', ('float32', 'bfloat16'))  # parameters stay float32
    init_scale: float = setting(1.0, _POSITIVE)  # factor on Glorot & Bengio's initialisation


@dataclasses.dataclass(frozen=True)
class Loss:
    """Which loss; `scale` is ½ in Ba & Caruana's equation 1 and 1 in Urban et al."""

    kind: str = one_of('cross_entropy', tuple(LOSSES))
    scale: float = setting(0.5, _POSITIVE)
    temperature: float = setting(1.0, _POSITIVE)
    soft_weight: float = setting(0.5, (lambda value: 0 <= value <= 1, 'from 0 to 1'))


@dataclasses.dataclass(frozen=True)
class FromStudy:
    """Which of a search's members: number `rank`, from 1, of the study's finished trials.

    `storage` is the URL of the study's database; empty: the workdir's own, studies.sqlite.
    """

    study: str = setting('', (bool, "a study's name"))
    storage: str = ''
    rank: int = setting(1, _FROM_1)


@dataclasses.dataclass(frozen=True)
class Member:
    """A teacher: one net of an ensemble, trained on labels.

    With `from_study` all else is read from the study of a search.
    """

    model: str = ''
    seed: int = setting(0, _SEED)
    # The part of the training split that this member sees, drawn by its seed; of speech, that part
    # of its utterances.
    subset: float = setting(1.0, (lambda value: 0 < value <= 1, 'above 0 and at most 1'))
    train: Train = Train()
    views: Views | None = None  # the config's own `views` when left out
    from_study: FromStudy | None = None


@dataclasses.dataclass(frozen=True)
class Search:
    """A search for teachers by Bayesian optimisation over the parameters that `space` names.

    `member` is what every trial trains: '{name}' in its model stands for a parameter's value, and
    `sets` says which of its settings others are, as {'rate': 'train.learning_rate'}. See
    `mimic_jax.trials.member_at`. The study lies in the database `storage`, a URL, or when empty in
    the workdir's studies.sqlite; all workers that name it share its `trials`. Trials up to `startup`
    are spread evenly over the space. The objective is that on the validation split after the last
    step.
    """

    space: Mapping[str, Parameter] = dataclasses.field(default_factory=dict)
    member: Member = Member()
    sets: Mapping[str, str] = dataclasses.field(default_factory=dict)
    trials: int = setting(30, _FROM_1)
    study: str = setting('search', (bool, "a study's name"))
    storage: str = ''
    objective: str = one_of('validation_accuracy', ('validation_accuracy', 'validation_loss'))
    seed: int = setting(0, _SEED)
    startup: int = setting(10, _FROM_1)


@dataclasses.dataclass(frozen=True)
class Alignment:
    """How often the targets of speech are realigned: 0 leaves each segment split in three.

    In a round `net` is trained on the targets so far, and the best path through the known phones
    of each training and validation utterance by it gives new ones. All that follows uses those.
    """

    rounds: int = setting(0, _FROM_0)
    net: Member = Member()


@dataclasses.dataclass(frozen=True)
class Logits:
    """A logit cache: the mean logits of `members` on `views` views of the `transfer` splits."""

    members: tuple[str, ...] = setting((), _NAMES)
    transfer: tuple[str, ...] = setting(
        ('train', 'unlabelled'),
        (lambda value: value and 'test' not in value, 'at least one split, and not the test split'),
    )
    limit: int = setting(0, _FROM_0)  # transfer examples at most, the first of them; 0: all
    views: int = setting(1, _FROM_1)
    dtype: str = one_of('float16', ('float16', 'float32'))


@dataclasses.dataclass(frozen=True)
class Student:
    """A shallow net, trained on labels (the baseline) or on a cache's logits."""

    model: str = ''
    budget: float = setting(0.0, _FROM_0)  # parameters that a '?' in the model is solved for
    target: str = one_of('labels', ('labels', 'logits'))
    logits: str = ''
    loss: Loss = Loss()
    train: Train = Train()
    seeds: tuple[int, ...] = setting((0,), _SEEDS)


@dataclasses.dataclass(frozen=True)
class Baseline:
    """What is no net: k-means features of image patches and a linear SVM (Coates, Lee & Ng 2011).

    Fitted to the split 'train', on the raw pixels. `penalties` are the SVM's C, which multiplies
    the mean of the squared hinges as in the authors' code (liblinear's multiplies their sum); the
    validation split decides among several.
    """

    kind: str = one_of('kmeans_svm', ('kmeans_svm',))
    patches: int = setting(400_000, _FROM_1)  # drawn from the training images for k-means
    patch_size: int = setting(6, _FROM_1)  # pixels a side
    centroids: int = setting(4000, _FROM_1)
    iterations: int = setting(50, _FROM_1)  # of k-means at most
    penalties: tuple[float, ...] = setting(
        (100.0,),
        (
            lambda value: value and len(set(value)) == len(value) and all(map(_POSITIVE[0], value)),
            f'a tuple of different numbers, at least one, each {_POSITIVE[1]}',
        ),
    )
    seed: int = setting(0, _SEED)


@dataclasses.dataclass(frozen=True)
class Decoding:
    """How the logits of speech become phones; of other data nothing is decoded.

    Every pair of a scale of the language model and an insertion penalty is tried on the validation
    utterances, then pairs half-way to the best one's neighbours (see `mimic_jax.decoding.tune`). The
    language model is a bigram over the 61 phones of the training utterances, or 'none': then
    `lm_scales` is not read.
    """

    language_model: str = one_of('bigram', ('bigram', 'none'))
    lm_scales: tuple[float, ...] = setting((1.0, 2.0, 4.0, 6.0), _SCALES)
    # Taken off the log-likelihood of a path for each of its phones: more makes for fewer phones.
    penalties: tuple[float, ...] = setting((-4.0, 0.0, 4.0), _PENALTIES)
    batch_size: int = setting(32, _FROM_1)  # utterances that are decoded together


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the report.

    `source` is 'members.NAME', 'logits.NAME', 'students.NAME' or 'baselines.NAME'.
    """

    source: str = ''
    label: str = ''  # what the table calls it; the row's own name when left out
    # The paper's accuracy; of speech its phone error rate.
    paper: float = setting(
        -1.0, (lambda value: value <= 1, 'a fraction of 1, or negative for none')
    )
    # What the paper prints of the net's size, as it stands there, and what to say of the row.
    paper_parameters: str = ''
    paper_units: str = ''
    note: str = ''
    # Of a student: with its bottleneck multiplied into the layer after it.
    absorbed: bool = False
    # In the figure 'curves.png': rows with the same `curve` are joined, each at its own `x`.
    curve: str = ''
    x: float = 0.0


@dataclasses.dataclass(frozen=True)
class Run:
    """What changes how a run goes but not what comes out; no artifact's name depends on it."""

    log_steps: int = setting(50, _FROM_1)
    evaluation_steps: int = setting(1, _FROM_1)  # at an epoch's end, so far apart or more
    checkpoint_steps: int = setting(1, _FROM_1)  # likewise
    steps_per_call: int = setting(0, _FROM_0)  # 0: 1 on CPU, 16 on accelerators
    model_axis: int = setting(1, _FROM_1)  # devices that wide layers are split over
    placement: str = one_of('auto', ('auto', 'device', 'host'))  # of the data; 'auto': by size
    evaluation_batch_size: int = setting(500, _FROM_1)


@dataclasses.dataclass(frozen=True)
class Report:
    """What to tabulate, in which order (ConfigDicts sort their keys).

    `ensemble` names the entry of config.logits that agreement is measured with.
    """

    rows: Mapping[str, Row] = dataclasses.field(default_factory=dict)
    order: tuple[str, ...] = ()
    ensemble: str = ''
    x_label: str = ''  # of 'curves.png'
    latency: bool = False  # measures how long the rows' nets take to answer


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A whole config. `presets` says in words what each preset of the file is for."""

    data: Data = Data()
    alignment: Alignment = Alignment()
    views: Views = Views()
    search: Search | None = None
    members: Mapping[str, Member] = dataclasses.field(default_factory=dict)
    logits: Mapping[str, Logits] = dataclasses.field(default_factory=dict)
    students: Mapping[str, Student] = dataclasses.field(default_factory=dict)
    baselines: Mapping[str, Baseline] = dataclasses.field(default_factory=dict)
    decoding: Decoding = Decoding()
    report: Report = Report()
    run: Run = Run()
    presets: Mapping[str, str] = dataclasses.field(default_factory=dict)


def experiment(config: Mapping) -> Experiment:
    """A ConfigDict as an Experiment, with every reference inside it checked."""
    if config.get('search') is not None:
        spaces.read(config['search'].get('space', {}))
    result = section(Experiment, config, 'config')
    for name, cache in result.logits.items():
        for member in cache.members:
            _known(member, result.members, f'config.logits.{name}.members', 'config.members')
    for name, student in result.students.items():
        where = f'config.students.{name}'
        if student.target == 'logits':
            _known(student.logits, result.logits, f'{where}.logits', 'config.logits')
        if (student.loss.kind == 'cross_entropy') != (student.target == 'labels'):
            raise UserError(
                f'{where} has target {student.target!r} and loss.kind {student.loss.kind!r}; '
                'labels go with cross_entropy, logits with the other losses'
            )
    for name, baseline in result.baselines.items():
        if baseline.centroids > baseline.patches:
            raise UserError(
                f'config.baselines.{name}.centroids is {baseline.centroids}, more than its '
                f'{baseline.patches} patches; lower it or set more patches'
            )
    if result.report.ensemble:
        _known(result.report.ensemble, result.logits, 'config.report.ensemble', 'config.logits')
    for name in result.report.order:
        _known(name, result.report.rows, 'config.report.order', 'config.report.rows')
    for name, row in result.report.rows.items():
        group, _, entry = row.source.partition('.')
        where = f'config.report.rows.{name}.source'
        if group not in ('members', 'logits', 'students', 'baselines'):
            raise UserError(
                f'{where} is {row.source!r}; write members.NAME, logits.NAME, students.NAME or '
                'baselines.NAME'
            )
        _known(entry, getattr(result, group), where, f'config.{group}')
        if row.absorbed and group != 'students':
            raise UserError(f'config.report.rows.{name}.absorbed is of students, not of {group}')
    return result


def loss_as_json(loss: Loss) -> dict:
    """A loss without the settings that its kind does not read."""
    return {key: getattr(loss, key) for key in ('kind', *LOSSES[loss.kind])}


def views_as_json(views: Views) -> dict:
    """Views without the augmentations that are off, but for the first ones, which are always named.

    Whatever artifacts are named by holds views in this form: an augmentation that is added later
    leaves the names of those made without it as they were.
    """
    always = ('seed', 'mirror', 'shift', 'padding')
    return {key: value for key, value in as_json(views).items() if key in always or value}


def _known(name: str, known: Iterable[str], where: str, group: str) -> None:
    if name not in known:
        raise UserError(
            f'{where} names {name!r}, which {group} does not have; {nearest(name, known)}'
        )
