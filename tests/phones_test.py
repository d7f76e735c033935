import numpy as np
import pytest

from mimic_jax.speech import phones

# Lee & Hon's folding as published, typed in apart from the code's own table.
TABLE = """
aa aa|ae ae|ah ah|ao aa|aw aw|ax ah|ax-h ah|axr er|ay ay|b b|bcl sil|ch ch|d d|dcl sil|dh dh|dx dx
eh eh|el l|em m|en n|eng ng|epi sil|er er|ey ey|f f|g g|gcl sil|h# sil|hh hh|hv hh|ih ih|ix ih|iy iy
jh jh|k k|kcl sil|l l|m m|n n|ng ng|nx n|ow ow|oy oy|p p|pau sil|pcl sil|q -|r r|s s|sh sh|t t
tcl sil|th th|uh uh|uw uw|ux uw|v v|w w|y y|z z|zh sh
"""
PAIRS = [entry.split() for line in TABLE.split('\n') if line for entry in line.split('|')]


def test_the_folding_is_the_published_table():
    assert len(PAIRS) == 61
    assert tuple(phone for phone, _ in PAIRS) == phones.PHONES
    published = {phone: folded for phone, folded in PAIRS if phone != 'q'}
    assert published == phones.FOLD


def test_there_are_39_classes_with_sil():
    assert len(phones.CLASSES) == len(set(phones.FOLD.values())) == 39
    assert phones.SILENCE in phones.CLASSES and 'q' not in phones.CLASSES


def test_numbers_fold_as_names_do():
    for number, (phone, folded) in enumerate(PAIRS):
        assert phones.numbers([phone]).tolist() == [number]
        found = phones.CLASS_OF_PHONE[number]
        assert (found == phones.DELETED) if phone == 'q' else (phones.CLASSES[found] == folded)


def test_q_is_deleted_and_equal_neighbours_stay_two():
    spoken = ['h#', 'q', 'ao', 'aa', 'kcl', 'pau', 'k', 'ix', 'h#']
    folded = [phones.CLASSES[number] for number in phones.fold_numbers(phones.numbers(spoken))]
    assert folded == ['sil', 'aa', 'aa', 'sil', 'sil', 'k', 'ih', 'sil']
    for nothing in (['q'], []):
        assert phones.fold_numbers(phones.numbers(nothing)).tolist() == []


def test_an_unknown_phone_is_refused():
    with pytest.raises(ValueError, match="'sil' is not one of the 61"):
        phones.numbers(['h#', 'sil'])


def test_states_are_three_a_phone_in_order():
    assert phones.NUM_STATES == 183
    phone, part = phones.phone_and_part(np.arange(183))
    np.testing.assert_array_equal(phone, np.repeat(np.arange(61), 3))
    np.testing.assert_array_equal(part, np.tile([0, 1, 2], 61))
