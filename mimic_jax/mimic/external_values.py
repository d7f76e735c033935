"""Real values from a teacher made elsewhere: checks, and their comparison with known labels."""

import numpy as np

from mimic_jax.errors import UserError
from mimic_jax.mimic.external_answers import as_array
from mimic_jax.mimic.external_checks import FEWEST, Verdict
from mimic_jax.ops import metrics


def checked(answers, rows: int, targets: int, what: str, numbers=None) -> np.ndarray:
    """Answers as real values [rows, K] float64, in the targets' units; [rows] may stand for one target.

    what: their source, for errors.  numbers: [rows] the rows' numbers in errors; from 0 when None.

    Raises:
      UserError: another shape, or values that are not finite.
    """
    answers = as_array(answers, what)
    if targets == 1 and answers.ndim == 1:
        answers = answers[:, None]
    if answers.shape != (rows, targets) or answers.dtype.kind not in 'fiu':
        alone = f', or [{rows}]' if targets == 1 else ''
        raise UserError(
            f'{what} gives {answers.dtype} of shape {list(answers.shape)} for {rows} examples of '
            f'{targets} real-valued target{"s" * (targets > 1)}; it must be numbers of shape '
            f'[{rows}, {targets}]{alone}'
        )
    values = answers.astype(np.float64)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        number = row if numbers is None else numbers[row]
        raise UserError(
            f'{what} gives {values[row, column]:g} for example {number}, target {column}, which is not '
            'finite; mend the teacher'
        )
    return values


def judge(answers: np.ndarray, labels: np.ndarray) -> Verdict:
    """The verdict of known labels on real-valued answers.

    answers, labels: [R, K] in the same units, NaN where a label is unknown.
    """
    known = np.isfinite(labels).all(axis=1)
    if known.sum() < 2:
        return Verdict(0, 0.0, '')
    count, answers = int(known.sum()), np.asarray(answers)[known]
    each = [metrics.r2(answers[:, [k]], labels[known][:, [k]]) for k in range(labels.shape[1])]
    score, worst = float(np.mean(each)), int(np.argmin(each))
    if count < FEWEST:
        return Verdict(count, score, '')
    if (answers == answers[0]).all():
        return Verdict(count, score, 'the answer is the same for all of them')
    if each[worst] > 0:
        return Verdict(count, score, '')
    problem = f'R² is {each[worst]:.3g} for target {worst} (from 0), no better than its mean'
    return Verdict(count, score, problem)
