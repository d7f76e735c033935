"""Settings of a search for teachers, or students, by Bayesian optimisation."""

import dataclasses
from collections.abc import Mapping

from mimic_jax.config import rules
from mimic_jax.config.fields import Rule, entries, setting
from mimic_jax.mimic.settings import Member, Student
from mimic_jax.search.space import Parameter

_SEARCHED: Rule = (lambda search: search.space, 'where space has parameters')


@dataclasses.dataclass(frozen=True)
class Search:
    """A search over the parameters in `space`; an empty space means no search.

    Every trial trains `student` where it has a model, and otherwise `member`. '{name}' in its model
    stands for a parameter's value. `sets` maps other parameters to settings of the net, such as
    {'rate': 'train.learning_rate'}. A '?' in a student's model is solved from its budget, trial by
    trial. The objective is measured on the validation split after the last step.
    """

    space: Mapping[str, Parameter] = entries('The parameters by name.')
    member: Member = Member()
    student: Student = Student()
    sets: Mapping[str, str] = entries('The setting that a parameter of this name sets.')
    trials: int = setting(30, 'The number of trials in all.', rules.FROM_1, read=_SEARCHED)
    study: str = setting('search', "The study's name.", rules.NAME)
    storage: str = setting(
        '',
        "The URL of the study's database, which all workers share; empty: the workdir's "
        'studies.sqlite.',
    )
    objective: str = setting(
        'validation_accuracy',
        'The figure that the search improves; real-valued targets have R² and no accuracy.',
        choices=('validation_accuracy', 'validation_loss', 'validation_r2'),
        read=_SEARCHED,
    )
    seed: int = setting(0, 'The seed of the points.', rules.SEED, read=_SEARCHED)
    startup: int = setting(
        10, 'How many first trials are spread evenly over the space.', rules.FROM_1, read=_SEARCHED
    )

    @property
    def kind(self) -> str:
        """What the trials train: 'student' or 'member', or '' where there is no search."""
        if not self.space:
            return ''
        return 'student' if self.student.model else 'member'
