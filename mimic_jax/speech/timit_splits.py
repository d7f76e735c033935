"""Which speakers of TIMIT are trained, validated and tested on, and the figures of the whole corpus.

A split maps 'train', 'validation' and 'test' to positions [n] int32 in a list of utterances: anything
with the attributes `part` and `speaker`.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mimic_jax.errors import UserError
from mimic_jax.runtime.progress import Say
from mimic_jax.speech import phones

# The 50 development speakers of Kaldi's recipe, the list in wide use.
_DEV = (
    'fadg0 faks0 fcal1 fcmh0 fdac1 fdms0 fdrw0 fedw0 fgjd0 fjem0 fjmg0 fjsj0 fkms0 fmah0 fmml0 '
    'fnmr0 frew0 fsem0 majc0 mbdg0 mbns0 mbwm0 mcsh0 mdlf0 mdls0 mdvc0 mers0 mgjf0 mglb0 mgwt0 '
    'mjar0 mjfc0 mjsw0 mmdb1 mmdm2 mmjr0 mmwh0 mpdf0 mrcs0 mreb0 mrjm4 mrjr0 mroa0 mrtk0 mrws1 '
    'mtaa0 mtdt0 mteb0 mthc0 mwjg0'
)
# The core test set: two men and a woman of each of the eight dialect regions.
_CORE = (
    'mdab0 mwbt0 felc0 mtas1 mwew0 fpas0 mjmp0 mlnt0 fpkt0 mlll0 mtls0 fjlm0 mbpm0 mklt0 fnlp0 '
    'mcmj0 mjdh0 fmgd0 mgrt0 mnjm0 fdhc0 mjln0 mpam0 fmld0'
)
DEV_SPEAKERS = tuple(_DEV.split())
CORE_SPEAKERS = tuple(_CORE.split())
# What the whole corpus has: utterances, speakers, and reference tokens after folding (None: unknown).
FIGURES = {
    'train': (3696, 462, None),
    'validation': (400, 50, 15_057),
    'test': (192, 24, 7_215),
}


def official(utterances: Sequence) -> dict[str, np.ndarray]:
    """All of TRAIN, the 50 development speakers and the 24 core test speakers of TEST.

    Raises:
      UserError: a part without a speaker, or one of the 74 in TRAIN.
    """
    held_out = {*DEV_SPEAKERS, *CORE_SPEAKERS}
    for utterance in utterances:
        if utterance.part == 'train' and utterance.speaker in held_out:
            raise UserError(
                f'speaker {utterance.speaker} is in TRAIN, and would be in two splits: it is one of '
                "TIMIT's 74 development and core test speakers; move it to TEST"
            )
    splits = {
        'train': _where(utterances, lambda u: u.part == 'train'),
        'validation': _where(utterances, lambda u: u.speaker in DEV_SPEAKERS),
        'test': _where(utterances, lambda u: u.speaker in CORE_SPEAKERS),
    }
    for name, what in (
        ('train', 'TRAIN speakers'),
        ('validation', '50 development speakers (faks0, fdac1 …)'),
        ('test', '24 core test speakers (mdab0, mwbt0 …)'),
    ):
        if not len(splits[name]):
            raise UserError(
                f"the corpus has none of TIMIT's {what}; set config.data.split to 'speakers', and "
                'config.data.validation and config.data.test to numbers of speakers, to divide those '
                'it has'
            )
    return splits


def by_speaker(
    utterances: Sequence, seed: int, validation: int, test: int
) -> dict[str, np.ndarray]:
    """So many validation and test speakers, drawn by `seed`; all others train.

    Raises:
      UserError: a number below 1, or no speaker left to train on.
    """
    order = _shuffled(utterances, seed)
    return _divided(utterances, order, order[:test], validation, test)


def fold(
    utterances: Sequence, seed: int, number: int, folds: int, validation: int
) -> dict[str, np.ndarray]:
    """Fold `number` of `folds`: over all of them each speaker is tested once.

    The folds' sizes differ by one speaker at most. The validation speakers are those that follow
    the tested ones in the order drawn by `seed`, round its end.

    Raises:
      UserError: fewer speakers than folds, no such fold, or no speaker left to train on.
    """
    order = _shuffled(utterances, seed)
    if not 2 <= folds <= len(order):
        raise UserError(
            f'{folds} folds of {len(order)} speakers; set config.data.folds from 2 to {len(order)}'
        )
    if not 0 <= number < folds:
        raise UserError(f'fold {number} of {folds}; set config.data.fold from 0 to {folds - 1}')
    sizes = [len(block) for block in np.array_split(order, folds)]
    start = sum(sizes[:number])
    turned = order[start:] + order[:start]
    return _divided(utterances, turned, turned[: sizes[number]], validation, sizes[number])


def check_figures(
    splits: Mapping[str, np.ndarray],
    utterances: Sequence,
    sequences: Sequence[np.ndarray],
    say: Say,
) -> None:
    """Prints a line on each figure of the official split that is not the whole TIMIT's.

    sequences: each utterance's phones as numbers, before folding.
    """
    for name, (count, speakers, tokens) in FIGURES.items():
        chosen = splits[name]
        _compare(name, 'utterances', len(chosen), count, say)
        _compare(name, 'speakers', len({utterances[i].speaker for i in chosen}), speakers, say)
        if tokens:
            found = sum(len(phones.fold_numbers(sequences[i])) for i in chosen)
            _compare(name, 'reference tokens', found, tokens, say)


def _compare(split: str, what: str, found: int, wanted: int, say: Say) -> None:
    if found != wanted:
        say(
            f"warning: the {split} split has {found:,} {what}, TIMIT's has {wanted:,}; error rates "
            'are not comparable with published ones'
        )


def _shuffled(utterances: Sequence, seed: int) -> list[str]:
    names = sorted({utterance.speaker for utterance in utterances})
    return [str(name) for name in np.random.default_rng(seed).permutation(names)]


def _divided(
    utterances: Sequence, order: list[str], tested: list[str], validation: int, test: int
) -> dict[str, np.ndarray]:
    """Splits of an order of speakers that begins with those tested."""
    if validation < 1 or test < 1 or validation + test >= len(order):
        raise UserError(
            f'{validation} validation and {test} test speakers of {len(order)}; each split, train too, '
            'needs at least 1: set config.data.validation, and config.data.test or, for folds, '
            'config.data.folds'
        )
    validated = order[test : test + validation]
    held_out = {*tested, *validated}
    return {
        'train': _where(utterances, lambda u: u.speaker not in held_out),
        'validation': _where(utterances, lambda u: u.speaker in validated),
        'test': _where(utterances, lambda u: u.speaker in tested),
    }


def _where(utterances: Sequence, wanted: Callable) -> np.ndarray:
    return np.array([i for i, utterance in enumerate(utterances) if wanted(utterance)], np.int32)
