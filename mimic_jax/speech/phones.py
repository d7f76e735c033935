"""TIMIT's 61 phones, their 183 states, and the 39 classes that phone error rates are counted in.

The folding is Lee & Hon's (1989), as in Kaldi's phones.60-48-39.map: q is deleted, closures and
pauses become sil, and sil is kept in scoring.
"""

from collections.abc import Iterable

import numpy as np

_LABELS = (
    'aa ae ah ao aw ax ax-h axr ay b bcl ch d dcl dh dx eh el em en eng epi er ey f g gcl h# hh hv '
    'ih ix iy jh k kcl l m n ng nx ow oy p pau pcl q r s sh t tcl th uh uw ux v w y z zh'
)
PHONES = tuple(_LABELS.split())
PARTS = 3  # states of a phone, left to right
NUM_STATES = PARTS * len(PHONES)  # 183
SILENCE = 'sil'
DELETED = -1  # the class of q

_CHANGED = {
    'ao': 'aa',
    'ax': 'ah',
    'ax-h': 'ah',
    'axr': 'er',
    'el': 'l',
    'em': 'm',
    'en': 'n',
    'eng': 'ng',
    'hv': 'hh',
    'ix': 'ih',
    'nx': 'n',
    'ux': 'uw',
    'zh': 'sh',
    **dict.fromkeys(('bcl', 'dcl', 'gcl', 'kcl', 'pcl', 'tcl', 'epi', 'pau', 'h#'), SILENCE),
}
FOLD = {phone: _CHANGED.get(phone, phone) for phone in PHONES if phone != 'q'}
CLASSES = tuple(sorted(set(FOLD.values())))  # 39
NUMBER = {phone: number for number, phone in enumerate(PHONES)}
# [61] int32: the number of each phone's class, DELETED for q.
CLASS_OF_PHONE = np.array(
    [CLASSES.index(FOLD[phone]) if phone in FOLD else DELETED for phone in PHONES], np.int32
)
CLASS_OF_PHONE.setflags(write=False)


def fold_numbers(sequence: np.ndarray) -> np.ndarray:
    """Numbers of phones, [S] of 0–60, as classes, [≤ S] int32 of 0–38: q left out, every other one class.

    Equal neighbours stay two (a closure beside a pause gives sil sil), in references and decodings
    alike. The published counts of reference tokens (7,215 in the core test set) also count TIMIT's
    segments without q and without merging.
    """
    classes = CLASS_OF_PHONE[np.asarray(sequence, np.int32)]
    return classes[classes != DELETED]


def numbers(sequence: Iterable[str]) -> np.ndarray:
    """[S] int32, the place of each phone in `PHONES`.

    Raises:
      ValueError: a label outside the 61.
    """
    sequence = list(sequence)
    unknown = [phone for phone in sequence if phone not in NUMBER]
    if unknown:
        raise ValueError(f'{unknown[0]!r} is not one of the 61 phones of TIMIT')
    return np.array([NUMBER[phone] for phone in sequence], np.int32)


def phone_and_part(state):
    """The number of the phone and the part, 0 to 2, of a state 0–182, or of arrays of states."""
    return state // PARTS, state % PARTS
