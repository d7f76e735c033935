"""benchmarks/mechanisms.py: its measure of complexity by hand, and that nothing but targets differs."""

import numpy as np
from conftest import load_benchmark

from mimic_jax.config import experiment as experiments

mechanisms = load_benchmark('mechanisms')


def test_neighbours_that_agree_by_hand():
    """On a line 0's neighbour is 1, 1's 0, 4's 1, 10's 4; an equal example is a neighbour, too."""
    inputs = np.array([[0], [1], [4], [10]], np.uint8)
    assert mechanisms.neighbours_agree(inputs, np.array([7, 7, 7, 5])) == 0.75
    assert mechanisms.neighbours_agree(inputs, np.array([7, 5, 7, 7])) == 0.25
    twice = np.array([[3], [3], [9]])
    assert mechanisms.neighbours_agree(twice, np.array([1, 1, 2])) == 2 / 3


def test_the_students_differ_in_their_targets_alone(tmp_path):
    for name in mechanisms.SETTINGS:
        checked = experiments.read(mechanisms.configured(name, tmp_path))
        students = checked.students
        assert list(checked.report.order) == ['ensemble', *mechanisms.TARGETS]
        assert set(students) == set(mechanisms.TARGETS)
        assert {student.model for student in students.values()} == {'32L-2000'}
        assert {student.train.epochs for student in students.values()} == {250}
        assert {student.train.batch_size for student in students.values()} == {50}
        assert checked.logits['ensemble'].transfer == ('train',)
        kinds = [students[target].loss.kind for target in mechanisms.TARGETS]
        assert kinds == ['cross_entropy', 'teacher_labels', 'kl', 'logits']
        assert checked.data.label_noise == (0.2 if 'wrong' in name else 0.0)
        hidden = {student.unseen for student in students.values()}
        assert hidden == {(':,4:',) if 'from the student' in name else ()}
    halves = np.load(tmp_path / 'left_halves.npz')
    assert halves['images'].shape == (1797, 8, 4, 1) and halves['images'].max() == 240
