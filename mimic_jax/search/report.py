"""What a search adds to a report: its best trials, and Optuna's own pictures of all of them."""

import dataclasses
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from mimic_jax.search import from_study
from mimic_jax.search.settings import Search

BEST = 10  # trials in the table
LEAST = 2  # finished trials, below which nothing can be compared

CAPTIONS = {
    'search_history.png': 'The objective of every trial, and the best one so far.',
    'search_importance.png': 'How much each parameter matters to the objective, as Optuna estimates it.',
    'search_slices.png': 'The objective against each parameter; later trials are darker.',
    'search_parallel.png': 'Each trial as a line through its parameters; better ones are darker.',
}


@dataclasses.dataclass(frozen=True)
class Findings:
    """A search's part of a report (`reporting.part.Searched`).

    artifacts: names of the finished trials' artifacts.  best: the best trials as lines of cells, the head
    first.  count: of finished trials.  finished: the finished trials, as Optuna has them.
    """

    artifacts: frozenset[str]
    best: list[list[str]]
    count: int
    captions: Mapping[str, str]
    finished: Sequence = ()
    maximised: bool = True

    def draw(self) -> Iterator[tuple[str, object]]:
        """(file name, Matplotlib figure) of each picture that can be drawn of the finished trials."""
        if self.count < LEAST:
            return
        import matplotlib.pyplot as plt
        import optuna
        from optuna.visualization import matplotlib as pictures

        direction = 'maximize' if self.maximised else 'minimize'
        alike = len({trial.value for trial in self.finished}) == 1  # no parameter matters
        with warnings.catch_warnings(), plt.rc_context({'savefig.bbox': 'tight'}):
            # Optuna sets a style of its own, which ends with this block.
            warnings.simplefilter('ignore', optuna.exceptions.ExperimentalWarning)
            study = optuna.create_study(direction=direction)
            study.add_trials(self.finished)
            for name, plot in (
                ('search_history.png', pictures.plot_optimization_history),
                ('search_importance.png', pictures.plot_param_importances),
                ('search_slices.png', pictures.plot_slice),
                ('search_parallel.png', pictures.plot_parallel_coordinate),
            ):
                if not (alike and name == 'search_importance.png'):
                    yield name, np.ravel(plot(study))[0].figure


def findings(search: Search, workdir: Path) -> Findings:
    """What the study of `config.search` holds, in this workdir or elsewhere.

    Raises:
      UserError: no Optuna, or a database out of reach.
    """
    from_study.require_optuna()
    from mimic_jax.search import ranking, study

    record = study.find_study(from_study.database(workdir, search.storage), search.study)
    finished = ranking.finished(record)
    ordered = study.best(record, len(finished)) if finished else []
    artifacts = frozenset(
        trial.user_attrs[ranking.ARTIFACT]
        for trial in finished
        if ranking.ARTIFACT in trial.user_attrs
    )
    return Findings(
        artifacts=artifacts,
        best=_cells(search, ordered[:BEST]),
        count=len(finished),
        captions=CAPTIONS,
        finished=finished,
        maximised=search.objective != 'validation_loss',
    )


def _cells(search: Search, best: Sequence) -> list[list[str]]:
    if not best:
        return []
    names = list(search.space)
    head = ['trial', search.objective.replace('_', ' '), *names, 'model', 'artifact']
    body = [
        [
            str(trial.number),
            f'{trial.value:.4f}',
            *(f'{trial.params[name]:.4g}' if name in trial.params else '–' for name in names),
            trial.user_attrs.get(search.kind, {}).get('model', '–'),
            trial.user_attrs.get('artifact', '–'),
        ]
        for trial in best
    ]
    return [head, *body]
