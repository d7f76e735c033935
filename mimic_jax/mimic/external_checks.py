"""Answers compared with known labels: are they at chance, constant, or right in another order?

A teacher made elsewhere may be given with its classes or its rows in another order, or with inputs that
it was not made for. Shapes do not show that; known labels do.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from mimic_jax.mimic.external_answers import SMALLEST

FEWEST = 10  # labelled examples from which anything is concluded
_SIGMAS = 5  # standard errors by which another order must be better
_COLUMNS_GAIN, _ROWS_GAIN = 0.03, 0.1  # and by so much accuracy
_MOST_CLASSES = 2000  # for which the best order of columns is looked for: cubic time
_MOST_SHIFTED = 5 * 10**7  # rows times classes for which every shift of rows is tried
_SAMPLE = 20_000  # labelled examples, about, whose logits are looked at
_SAME = 1e-6  # of the largest logit, by which answers to different examples must differ
_NAMED = 4  # columns that a line names


@dataclasses.dataclass(frozen=True)
class Verdict:
    """score: accuracy, or R², on `examples` labelled ones.  problem: what seems wrong, a clause, or ''."""

    examples: int
    score: float
    problem: str


def judge(
    answers: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str] = (),
    orders: Sequence[tuple[str, np.ndarray]] = (),
    asked: bool = True,
    probabilities: bool = False,
) -> Verdict:
    """The verdict of known labels on answers.

    answers: [R, K], logits, or `probabilities`.  labels: [R] int, -1 where unknown.
    class_names: by number, or none.  orders: (name, [R]) of other orders of the rows: where the file has
    the answer for each row.  asked: whether a function or model answered, whose rows cannot be mixed up.
    """
    known = np.flatnonzero(labels >= 0)
    count, classes = len(known), answers.shape[1]
    if not count:
        return Verdict(0, float('nan'), '')
    predicted = np.argmax(answers, axis=1)
    accuracy = float(np.mean(predicted[known] == labels[known]))
    if count < FEWEST or len(np.unique(labels[known])) < 2:
        return Verdict(count, accuracy, '')
    some = known[:: max(1, count // _SAMPLE)]
    rows = answers[some].astype(np.float64)
    if np.ptp(rows, axis=0).max() <= _SAME * np.abs(rows).max():
        return Verdict(count, accuracy, 'the answer is the same for all of them')
    found = [_columns(predicted[known], labels[known], classes, class_names)]
    if not asked:
        found.append(_rows(predicted, labels, classes, orders))
    better, order = max(filter(None, found), default=(0.0, ''))
    if order:
        return Verdict(count, accuracy, f'it would be {better:.1%} {order}')
    if not probabilities and rows.min() >= 0 and rows.max() <= 1:
        return Verdict(count, accuracy, 'and all answers lie from 0 to 1, as logits seldom do')
    rows = np.log(np.maximum(rows, SMALLEST)) if probabilities else rows
    if _at_chance(rows, predicted[some], labels[some]):
        also = (
            ''
            if asked or not _is_sorted(predicted, labels)
            else ', and its rows stand class after class'
        )
        return Verdict(count, accuracy, f'which is no better than chance{also}')
    return Verdict(count, accuracy, '')


def _is_far(now: np.ndarray, then: np.ndarray, gain: float) -> bool:
    """Whether more answers are right in another order.  now, then: [n] bool, which are right."""
    change = then.astype(np.float64) - now
    return change.mean() > max(gain, _SIGMAS * change.std() / np.sqrt(len(now)))


def _at_chance(rows: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> bool:
    """Whether the classes answered, and the logits of the true classes, are no better than chance."""
    count, classes = rows.shape
    accuracy = np.mean(predicted == labels)
    shares = [np.bincount(each, minlength=classes) / count for each in (predicted, labels)]
    expected = float(shares[0] @ shares[1])
    if accuracy > expected + 3 * np.sqrt(max(expected * (1 - expected), 1 / count) / count):
        return False
    # A class that is rare is seldom answered, and still has larger logits where it is true.
    of_true = (rows - rows.mean(axis=0))[np.arange(count), labels]
    error = of_true.std() / np.sqrt(count)
    return of_true.mean() <= 3 * error


def _is_sorted(predicted: np.ndarray, labels: np.ndarray) -> bool:
    """Whether one class follows itself far more often in the answers than in the labels."""
    pairs = (labels[1:] >= 0) & (labels[:-1] >= 0)
    wanted = np.mean((labels[1:] == labels[:-1])[pairs]) if pairs.any() else 0.0
    return np.mean(predicted[1:] == predicted[:-1]) > max(0.5, wanted + 0.25)


def _columns(
    predicted: np.ndarray, labels: np.ndarray, classes: int, names: Sequence[str]
) -> tuple[float, str] | None:
    """(accuracy, words) of the best other order of classes, where it is far better."""
    now = predicted == labels
    usual = [
        (order[predicted] == labels, order, words) for words, order in _usual_orders(classes, names)
    ]
    then, order, words = max(usual, key=lambda each: each[0].mean())
    if _is_far(now, then, _COLUMNS_GAIN):
        return float(then.mean()), f'with the columns {words} ({_moved(order, predicted)})'
    if classes > _MOST_CLASSES:
        return None
    # Fitted to one half and tried on the other: fitted to all, any order would seem good.
    half, then = np.arange(len(labels)) % 2 == 0, np.zeros(len(labels), bool)
    for fitted, tried in ((half, ~half), (~half, half)):
        order = _best_order(predicted[fitted], labels[fitted], classes)
        then[tried] = order[predicted[tried]] == labels[tried]
    if not _is_far(now, then, _COLUMNS_GAIN):
        return None
    order = _best_order(predicted, labels, classes)
    return float(then.mean()), f'with the columns in another order ({_moved(order, predicted)})'


def _best_order(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """[K]: which class each column would have to be for most answers to be right."""
    pairs = np.bincount(predicted * classes + labels, minlength=classes * classes)
    pairs = pairs.reshape(classes, classes).astype(np.float64)
    pairs += 1e-3 * np.eye(classes)  # columns that no label tells of stay
    import scipy.optimize  # slow to import, and most runs do without it

    return scipy.optimize.linear_sum_assignment(pairs, maximize=True)[1]


def _usual_orders(classes: int, names: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """(words, [K]: which class each column is) of mistakes that are often made."""

    def by(key: Callable, words: str):
        order = np.array(sorted(range(classes), key=key))
        if not np.array_equal(order, np.arange(classes)):
            yield words, order

    yield from by(str, 'in the order of class numbers as text, 0, 1, 10, …')
    yield from by(lambda k: -k, 'in reverse order')
    yield (
        'moved by one, as where the first is a background class',
        np.arange(-1, classes - 1) % classes,
    )
    yield 'moved by one, as where classes are counted from 1', np.arange(1, classes + 1) % classes
    if len(names) == classes:
        yield from by(lambda k: names[k], 'in the order of class names')
        yield from by(lambda k: names[k].lower(), 'in the order of class names in lower case')
        if all(name.isdecimal() for name in names):
            yield from by(lambda k: int(names[k]), 'in the order of class names as numbers')


def _moved(order: np.ndarray, predicted: np.ndarray) -> str:
    """The first columns that would stand elsewhere, in words."""
    seen = np.bincount(predicted, minlength=len(order)) > 0
    moved = [column for column in np.flatnonzero(seen) if order[column] != column]
    words = ', '.join(f'column {column} is class {order[column]}' for column in moved[:_NAMED])
    return words + (', …' if len(moved) > _NAMED else '')


def _rows(
    predicted: np.ndarray, labels: np.ndarray, classes: int, orders: Sequence
) -> tuple[float, str] | None:
    """(accuracy, words) of the best other order of rows, where it is far better."""
    known, total = np.flatnonzero(labels >= 0), len(labels)
    candidates = [*orders, ('in reverse order', np.arange(total)[::-1])]
    if total * classes <= _MOST_SHIFTED:
        step = _best_shift(predicted, labels, classes)
        by = step if step <= total // 2 else step - total
        candidates.append((f'moved by {by:+,}', (np.arange(total) + step) % total))
    tried = [(predicted[order[known]] == labels[known], words) for words, order in candidates]
    then, words = max(tried, key=lambda each: each[0].mean())
    if not _is_far(predicted[known] == labels[known], then, _ROWS_GAIN):
        return None
    return float(then.mean()), f'with the rows {words}'


def _best_shift(predicted: np.ndarray, labels: np.ndarray, classes: int) -> int:
    """By how many rows, round the end, the answers would have to move for most to be right."""
    total = np.zeros(len(labels))
    for number in np.unique(labels[labels >= 0]):
        answered = np.fft.rfft((predicted == number).astype(np.float64))
        wanted = np.fft.rfft((labels == number).astype(np.float64))
        total += np.fft.irfft(answered * wanted.conj(), len(labels))
    return int(np.argmax(total))


def orders(
    examples: np.ndarray | None, labels: np.ndarray, splits: Mapping[str, np.ndarray]
) -> list[tuple[str, np.ndarray]]:
    """(words, [R]) of orders that rows are often written in by mistake: where each row's answer then is.

    examples: [R] the examples that the rows should be of; None for all of the data in their own order.
    labels: [R] of the rows, -1 where unknown; used to sort rows alone.  splits: of the data.
    """
    last = np.where(labels < 0, np.iinfo(np.int32).max, labels)
    found = [('class after class', _inverse(np.argsort(last, kind='stable')))]
    if examples is not None:
        found.append(("in the source's own order", _inverse(np.argsort(examples, kind='stable'))))
        return found
    for names in (splits, sorted(splits, key=('train', 'unlabelled').count, reverse=True)):
        together = np.concatenate([splits[name] for name in names])
        order = np.concatenate([together, np.setdiff1d(np.arange(len(labels)), together)])
        if len(order) == len(labels):  # splits of one's own may share examples
            found.append(('split after split', _inverse(order)))
    return found


def _inverse(order: np.ndarray) -> np.ndarray:
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return inverse
