"""Answers held against labels: what is right is let through, and every mix-up is named."""

import numpy as np
import pytest
from conftest import refusal

from mimic_jax.mimic import external_answers, external_checks

ROWS, CLASSES = 600, 12
RANDOM = np.random.default_rng(0)
LABELS = RANDOM.permutation(np.arange(ROWS) % CLASSES)
BY_TEXT = np.array(sorted(range(CLASSES), key=str))  # 0, 1, 10, 11, 2, …


def logits(labels=LABELS, accuracy=0.9, classes=CLASSES, seed=1):
    """Logits [R, K] whose largest is that of the label for about so many rows."""
    random = np.random.default_rng(seed)
    made = random.normal(size=(len(labels), classes))
    right = random.random(len(labels)) < accuracy
    made[
        np.arange(len(labels)), np.where(right, labels, random.integers(0, classes, len(labels)))
    ] += 8
    return made.astype(np.float32)


def judge(answers, labels=LABELS, asked=False, **given):
    return external_checks.judge(answers, labels, asked=asked, **given)


@pytest.mark.parametrize('accuracy', [1.0, 0.9, 0.5, 0.3])
@pytest.mark.parametrize('asked', [True, False])
def test_good_and_weak_teachers_are_let_through(accuracy, asked):
    answers = logits(accuracy=accuracy)
    found = judge(answers, asked=asked)
    assert found.problem == '' and found.examples == ROWS
    assert found.score == np.mean(answers.argmax(1) == LABELS)


def test_a_teacher_of_a_rare_class_is_let_through():
    """It answers the common class throughout, and has larger logits where the rare one is true."""
    labels = (np.arange(ROWS) % 50 == 0).astype(int)
    answers = np.stack([np.full(ROWS, 3.0), labels + RANDOM.normal(size=ROWS) * 0.3], axis=1)
    assert (answers.argmax(1) == 0).mean() > 0.99
    assert judge(answers, labels).problem == ''
    unknowing = np.stack([np.full(ROWS, 3.0), RANDOM.normal(size=ROWS) * 0.3], axis=1)
    assert judge(unknowing, labels).problem == 'which is no better than chance'


@pytest.mark.parametrize(
    ('order', 'words'),
    [
        (BY_TEXT, 'class numbers as text'),
        (np.arange(CLASSES)[::-1], 'in reverse order'),
        (np.roll(np.arange(CLASSES), 1), 'moved by one'),
        (np.roll(np.arange(CLASSES), -1), 'moved by one'),
        (np.random.default_rng(3).permutation(CLASSES), 'in another order'),
        (np.r_[1, 0, np.arange(2, CLASSES)], 'column 0 is class 1, column 1 is class 0)'),
    ],
)
@pytest.mark.parametrize('asked', [True, False])
def test_another_order_of_columns_is_found(order, words, asked):
    answers = logits()
    found = judge(answers[:, order], asked=asked)
    right = np.mean(answers.argmax(1) == LABELS)
    assert words in found.problem and f'it would be {right:.1%}' in found.problem, found
    assert found.score < right - 0.1


def test_the_order_of_class_names_is_found():
    words = ('tree', 'ant', 'Sky', 'dog', 'cat', 'bee', 'owl', 'fox', 'elk', 'cow', 'hen', 'pig')
    names = [f'{word}{number}' for number, word in enumerate(words)]
    order = np.array(sorted(range(CLASSES), key=lambda k: names[k]))
    assert 'order of class names' in judge(logits()[:, order], class_names=names).problem
    numbers = sorted(map(str, range(CLASSES)))  # a folder of classes lists them so
    order = np.array(sorted(range(CLASSES), key=lambda k: int(numbers[k])))
    assert 'class names as numbers' in judge(logits()[:, order], class_names=numbers).problem


SPLITS = {
    'train': np.random.default_rng(5).permutation(ROWS)[:400],
    'validation': np.random.default_rng(5).permutation(ROWS)[400:500],
    'test': np.random.default_rng(5).permutation(ROWS)[500:],
    'unlabelled': np.arange(0),
}


def masked():
    labels = np.full(ROWS, -1)
    labels[SPLITS['train']] = LABELS[SPLITS['train']]
    return labels


@pytest.mark.parametrize(
    ('mix', 'words'),
    [
        (lambda a: a[::-1], 'in reverse order'),
        (lambda a: np.roll(a, 1, axis=0), 'moved by +1'),
        (lambda a: np.roll(a, -37, axis=0), 'moved by -37'),
        (lambda a: a[np.concatenate(list(SPLITS.values()))], 'split after split'),
        (lambda a: a[np.argsort(LABELS, kind='stable')], 'class after class'),
    ],
)
def test_another_order_of_all_rows_is_found(mix, words):
    answers, known = logits(), masked()
    orders = external_checks.orders(None, LABELS, SPLITS)
    found = judge(mix(answers), known, orders=orders)
    right = np.mean(answers.argmax(1)[SPLITS['train']] == LABELS[SPLITS['train']])
    assert words in found.problem and f'it would be {right:.1%} with the rows' in found.problem
    assert judge(answers, known, orders=orders).problem == ''
    assert judge(mix(answers), known, orders=orders, asked=True).problem.endswith('than chance')


def test_rows_of_the_transfer_set_in_the_sources_order_are_found():
    examples = SPLITS['train']
    labels, answers = LABELS[examples], logits(LABELS[examples])
    orders = external_checks.orders(examples, labels, SPLITS)
    mixed = answers[np.argsort(examples)]  # the teacher read the source from the start
    assert "in the source's own order" in judge(mixed, labels, orders=orders).problem
    assert judge(answers, labels, orders=orders).problem == ''


def test_rows_in_no_known_order_are_at_chance():
    mixed = logits()[RANDOM.permutation(ROWS)]
    orders = external_checks.orders(None, LABELS, SPLITS)
    assert judge(mixed, orders=orders).problem == 'which is no better than chance'


def test_constant_answers_and_answers_from_0_to_1_are_told():
    assert 'the same for all' in judge(np.tile(logits()[:1], (ROWS, 1))).problem
    sigmoids = 1 / (1 + np.exp(-logits()))
    assert 'from 0 to 1' in judge(sigmoids).problem
    chances = np.exp(logits())
    chances /= chances.sum(1, keepdims=True)
    assert judge(chances, probabilities=True).problem == ''


def test_unknown_and_few_labels_say_nothing():
    assert judge(logits(), np.full(ROWS, -1)).examples == 0
    few = np.where(np.arange(ROWS) < 9, (LABELS + 1) % CLASSES, -1)
    assert judge(logits(), few).problem == ''
    assert judge(logits(), np.zeros(ROWS, int)).problem == '', 'one class alone'


@pytest.mark.parametrize('classes', [CLASSES, 100])
def test_chance_is_not_taken_for_an_order(classes):
    """Some order always fits random answers better, far better with many classes; none is recommended."""
    for seed in range(20):
        random = np.random.default_rng(seed)
        answers, labels = random.normal(size=(120, classes)), random.integers(0, classes, 120)
        orders = external_checks.orders(None, labels, {'train': random.permutation(120)})
        assert 'would be' not in judge(answers, labels, orders=orders).problem


# What was declared.

PERCENT = np.float32([[20, 30, 50], [0, 0, 100], [1, 98, 1], [99.5, 0.3, 0.2]])
SOFTMAX = PERCENT / 100


@pytest.mark.parametrize(
    'values',
    [
        SOFTMAX,
        PERCENT,
        SOFTMAX.astype(np.float16),
        SOFTMAX.astype(np.float64),
        np.eye(3)[[0, 1, 2, 0]],
        np.eye(3, dtype=np.int64)[[0, 1, 2, 0]],
        np.eye(3)[[0, 1, 2, 0]] * 0.9 + 0.1 / 3,
        np.round(SOFTMAX, 2),
    ],
)
def test_probabilities_are_no_logits(values):
    message = refusal(external_answers.checked, values, 4, 3, False, 'it')
    assert 'it gives no logits' in message and 'set probabilities=True' in message
    found = external_answers.checked(values, 4, 3, True, 'it')  # the advice works
    expected = np.asarray(values, np.float64)
    expected = expected / (100 if expected.max() > 1 else 1)
    np.testing.assert_allclose(found, np.log(np.maximum(expected, 1e-6)), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    'values',
    [
        np.float32([[0.2, 0.3, 0.5], [0, 0, 1], [1, 0, 0], [0.1, -0.1, 1]]),  # a negative one
        np.float32([[0.2, 0.3, 0.5], [0, 0, 1], [1, 0, 0], [0, 2, 0]]),
        np.zeros((4, 3)),
        np.log(np.maximum(SOFTMAX, 1e-6)),
        10 * np.eye(3)[[0, 1, 2, 0]],
        np.float64([[1, 2, 3]] * 4),
        np.float32([[0.2, 0.3, 0.5]]),  # one row alone may be logits
    ],
)
def test_logits_are_let_through(values):
    found = external_answers.checked(values, len(values), 3, False, 'it')
    np.testing.assert_array_equal(found, values.astype(np.float32))


def test_what_is_no_array_is_one_line():
    for ragged in ([[1.0, 2.0], [3.0]], (np.zeros((2, 3)), np.zeros((2, 5)))):
        assert 'it gives' in refusal(external_answers.checked, ragged, 2, 3, False, 'it')
