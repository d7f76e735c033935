"""Settings of nets and their training: teachers, how they are found, logit caches, students."""

import dataclasses
from collections.abc import Mapping

from mimic_jax.config import rules
from mimic_jax.config.data import Views
from mimic_jax.config.own_teacher import OwnTeacher
from mimic_jax.search.space import Parameter
from mimic_jax.settings import as_json, one_of, setting

LOSSES = {  # and the settings that each reads
    'cross_entropy': (),
    'logits': ('scale',),
    'standardised_logits': ('scale',),
    'probabilities': ('scale',),
    'kl': ('temperature',),
    'hinton': ('temperature', 'soft_weight'),
}


@dataclasses.dataclass(frozen=True)
class Train:
    """One run of stochastic gradient descent with Nesterov momentum.

    schedule 'plateau' halves the rate where the validation error stays, and then stops (Urban et al.
    2017; `mimic_jax.ops.plateau`): `epochs` is then the most there may be.
    """

    epochs: int = setting(10, rules.FROM_1)
    batch_size: int = setting(128, rules.FROM_1)
    learning_rate: float = setting(0.1, rules.POSITIVE)
    schedule: str = one_of('cosine', ('constant', 'cosine', 'plateau'))
    warmup: float = setting(
        0.0, rules.BELOW_1
    )  # part of all steps over which the rate rises from 0
    momentum: float = setting(0.9, rules.BELOW_1)
    weight_decay: float = setting(0.0, rules.NOT_NEGATIVE)  # L2 on kernels, added to the gradient
    clip_norm: float = setting(
        0.0, rules.NOT_NEGATIVE
    )  # bound on the gradient's global norm; 0: none
    dtype: str = one_of('float32', ('float32', 'bfloat16'))  # parameters stay float32
    init_scale: float = setting(1.0, rules.POSITIVE)  # factor on Glorot & Bengio's initialisation
    input_scale: float = setting(1.0, rules.POSITIVE)  # factor on the net's preprocessed inputs


@dataclasses.dataclass(frozen=True)
class Loss:
    """Which loss; `scale` is ½ in Ba & Caruana's equation 1 and 1 in Urban et al."""

    kind: str = one_of('cross_entropy', tuple(LOSSES))
    scale: float = setting(0.5, rules.POSITIVE)
    temperature: float = setting(1.0, rules.POSITIVE)
    soft_weight: float = setting(0.5, (lambda value: 0 <= value <= 1, 'from 0 to 1'))


@dataclasses.dataclass(frozen=True)
class FromStudy:
    """Which of a search's nets: number `rank`, from 1, of the study's finished trials.

    `storage` is the URL of the study's database; empty: the workdir's own, studies.sqlite. `choice`
    is the order that ranks count in. 'best': by the search's objective. 'greedy', of members alone:
    each is the one that raises the validation accuracy of the ensemble so far the most (see
    `mimic_jax.ops.selection`).
    """

    study: str = setting('', rules.NAME)
    storage: str = ''
    rank: int = setting(1, rules.FROM_1)
    choice: str = one_of('best', ('best', 'greedy'))


@dataclasses.dataclass(frozen=True)
class Member:
    """A teacher: one net of an ensemble, trained on labels.

    With `from_study` all else is read from the study of a search.
    """

    model: str = ''
    seed: int = setting(0, rules.SEED)
    # The part of the training split that this member sees, drawn by its seed; of speech, that part
    # of its utterances.
    subset: float = setting(1.0, (lambda value: 0 < value <= 1, 'above 0 and at most 1'))
    train: Train = Train()
    views: Views | None = None  # the config's own `views` when left out
    from_study: FromStudy | None = None


@dataclasses.dataclass(frozen=True)
class Logits:
    """A logit cache: the mean logits of `members` on `views` views of the `transfer` splits.

    With `source` they are those of a teacher made elsewhere, and there are no members.
    """

    members: tuple[str, ...] = ()
    source: OwnTeacher | None = None
    transfer: tuple[str, ...] = setting(
        ('train', 'unlabelled'),
        (lambda value: value and 'test' not in value, 'at least one split, and not the test split'),
    )
    limit: int = setting(0, rules.FROM_0)  # transfer examples at most, the first of them; 0: all
    views: int = setting(1, rules.up_to(100_000))
    dtype: str = one_of('float16', ('float16', 'float32'))


@dataclasses.dataclass(frozen=True)
class Student:
    """A shallow net, trained on labels (the baseline) or on a cache's logits.

    With `from_study` all else is read from the study of a search.
    """

    model: str = ''
    budget: float = setting(0.0, rules.FROM_0)  # parameters that a '?' in the model is solved for
    target: str = one_of('labels', ('labels', 'logits'))
    logits: str = ''
    loss: Loss = Loss()
    train: Train = Train()
    seeds: tuple[int, ...] = setting((0,), rules.different(rules.SEED, 'seeds'))
    from_study: FromStudy | None = None


@dataclasses.dataclass(frozen=True)
class Search:
    """A search for teachers, or students, by Bayesian optimisation over what `space` names.

    `member`, or `student` where there is one, is what every trial trains: '{name}' in its model
    stands for a parameter's value, and `sets` says which of its settings others are, as
    {'rate': 'train.learning_rate'}. See `mimic_jax.trials.net_at`. A '?' in a student's model is
    solved from its budget, trial by trial. The study lies in the database `storage`, a URL, or
    when empty in the workdir's studies.sqlite; all workers that name it share its `trials`. Trials
    up to `startup` are spread evenly over the space. The objective is that on the validation split
    after the last step.
    """

    space: Mapping[str, Parameter] = dataclasses.field(default_factory=dict)
    member: Member = Member()
    student: Student | None = None
    sets: Mapping[str, str] = dataclasses.field(default_factory=dict)
    trials: int = setting(30, rules.FROM_1)
    study: str = setting('search', rules.NAME)
    storage: str = ''
    objective: str = one_of('validation_accuracy', ('validation_accuracy', 'validation_loss'))
    seed: int = setting(0, rules.SEED)
    startup: int = setting(10, rules.FROM_1)


def loss_as_json(loss: Loss) -> dict:
    """A loss without the settings that its kind does not read."""
    return {key: getattr(loss, key) for key in ('kind', *LOSSES[loss.kind])}


def train_as_json(train: Train) -> dict:
    """A run's settings, the input scale only where it is not 1.

    Artifacts are named by this form, so that those made before there was an input scale keep theirs.
    """
    values = as_json(train)
    if train.input_scale == 1:
        del values['input_scale']
    return values
