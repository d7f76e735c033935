from types import SimpleNamespace

import numpy as np
import pytest
from conftest import refusal

from mimic_jax.speech import phones, timit_splits

# Typed in apart from the code's own lists, region by region.
DEV = """
faks0 fdac1 fjem0 mgwt0 mjar0 mmdb1 mmdm2 mpdf0 fcmh0 fkms0 mbdg0 mbwm0 mcsh0 fadg0 fdms0 fedw0 mgjf0
mglb0 mrtk0 mtaa0 mtdt0 mthc0 mwjg0 fnmr0 frew0 fsem0 mbns0 mmjr0 mdls0 mdlf0 mdvc0 mers0 fmah0 fdrw0
mrcs0 mrjm4 fcal1 mmwh0 fjsj0 majc0 mjsw0 mreb0 fgjd0 fjmg0 mroa0 mteb0 mjfc0 mrjr0 fmml0 mrws1
"""
CORE = """
mdab0 mwbt0 felc0 mtas1 mwew0 fpas0 mjmp0 mlnt0 fpkt0 mlll0 mtls0 fjlm0
mbpm0 mklt0 fnlp0 mcmj0 mjdh0 fmgd0 mgrt0 mnjm0 fdhc0 mjln0 mpam0 fmld0
"""
SOME = tuple(f'f{number:03}0' for number in range(16))


def spoken(part, speakers, sentences=8):
    return [
        SimpleNamespace(part=part, speaker=speaker)
        for speaker in speakers
        for _ in range(sentences)
    ]


def whole():
    """The speakers of all of TIMIT: 462 of TRAIN, 74 of TEST that are used, and 94 that are not."""
    return [
        *spoken('test', [f'mtest{number}' for number in range(94)]),
        *spoken('test', timit_splits.CORE_SPEAKERS),
        *spoken('train', [f'mtrain{number}' for number in range(462)]),
        *spoken('test', timit_splits.DEV_SPEAKERS),
    ]


def speakers(utterances, positions):
    return {utterances[position].speaker for position in positions}


def check_whole_speakers(utterances, splits):
    """Every utterance is in one split, every speaker in one, and no split is empty."""
    positions = np.concatenate(list(splits.values()))
    assert sorted(positions) == list(range(len(utterances)))
    names = [speakers(utterances, splits[name]) for name in splits]
    assert sum(map(len, names)) == len(set.union(*names)) and all(names)


def test_the_lists_have_the_published_lengths_and_share_no_speaker():
    dev, core = set(timit_splits.DEV_SPEAKERS), set(timit_splits.CORE_SPEAKERS)
    assert (len(timit_splits.DEV_SPEAKERS), len(dev)) == (50, 50)
    assert (len(timit_splits.CORE_SPEAKERS), len(core)) == (24, 24)
    assert not dev & core
    assert (dev, core) == (set(DEV.split()), set(CORE.split()))
    # TIMIT's documentation: the core test set has two men and a woman of each of eight regions.
    assert sum(name[0] == 'f' for name in core) == 8
    assert all(len(name) == 5 and name[0] in 'fm' for name in dev | core)


def test_the_official_split_has_the_published_sizes():
    utterances = whole()
    splits = timit_splits.official(utterances)
    assert {name: len(found) for name, found in splits.items()} == {
        'train': 3696,
        'validation': 400,
        'test': 192,
    }
    assert speakers(utterances, splits['test']) == set(timit_splits.CORE_SPEAKERS)
    assert speakers(utterances, splits['validation']) == set(timit_splits.DEV_SPEAKERS)
    assert {utterances[i].part for i in splits['train']} == {'train'}
    assert splits['train'].dtype == np.int32


def test_a_corpus_without_those_speakers_is_told_of_the_other_split():
    message = refusal(timit_splits.official, spoken('train', SOME))
    assert 'none of TIMIT' in message and "config.data.split to 'speakers'" in message
    assert 'config.data.validation and config.data.test' in message
    train_only = [u for u in whole() if u.part == 'test']
    assert 'TRAIN speakers' in refusal(timit_splits.official, train_only)


def test_a_test_speaker_in_train_is_refused():
    message = refusal(timit_splits.official, [*whole(), *spoken('train', ['mdab0'])])
    assert 'speaker mdab0 is in TRAIN, and would be in two splits' in message


def test_figures_of_the_whole_corpus_say_nothing_and_others_a_line_each():
    utterances = whole()
    splits = timit_splits.official(utterances)
    sequences = [phones.numbers(['h#', 'q', 'aa'])] * len(utterances)
    lengths = {'validation': 15_057, 'test': 7_215}
    for name, tokens in lengths.items():
        # The tokens of a split in its first utterance, q (not counted) and one each in the others.
        sequences[splits[name][0]] = np.zeros(tokens - 2 * (len(splits[name]) - 1), np.int32)
    lines = []
    timit_splits.check_figures(splits, utterances, sequences, lines.append)
    assert lines == []
    sequences[splits['test'][1]] = phones.numbers(['h#'])
    splits['train'] = splits['train'][:-8]
    timit_splits.check_figures(splits, utterances, sequences, lines.append)
    assert len(lines) == 3 and all(line.startswith('warning: ') for line in lines)
    assert "train split has 3,688 utterances, TIMIT's has 3,696" in lines[0]
    assert 'train split has 461 speakers' in lines[1]
    assert "test split has 7,214 reference tokens, TIMIT's has 7,215" in lines[2]


def test_speakers_are_drawn_by_the_seed():
    utterances = spoken('train', SOME)
    splits = timit_splits.by_speaker(utterances, seed=1, validation=3, test=4)
    check_whole_speakers(utterances, splits)
    assert len(speakers(utterances, splits['validation'])) == 3
    assert len(speakers(utterances, splits['test'])) == 4
    again = timit_splits.by_speaker(utterances, seed=1, validation=3, test=4)
    other = timit_splits.by_speaker(utterances, seed=2, validation=3, test=4)
    np.testing.assert_array_equal(again['test'], splits['test'])
    assert not np.array_equal(other['test'], splits['test'])


def test_the_draw_does_not_depend_on_the_order_of_utterances():
    utterances = spoken('train', SOME)
    one = timit_splits.by_speaker(utterances, 0, 2, 2)
    turned = timit_splits.by_speaker(utterances[::-1], 0, 2, 2)
    assert speakers(utterances, one['test']) == speakers(utterances[::-1], turned['test'])


@pytest.mark.parametrize(('count', 'folds'), [(16, 4), (16, 5), (7, 7)])
def test_over_the_folds_each_speaker_is_tested_once(count, folds):
    utterances = spoken('train', SOME[:count], sentences=2)
    tested, validated = [], []
    for number in range(folds):
        splits = timit_splits.fold(utterances, 3, number, folds, validation=2)
        check_whole_speakers(utterances, splits)
        names = speakers(utterances, splits['test'])
        assert len(names) in (count // folds, -(-count // folds))
        tested += names
        validated.append(frozenset(speakers(utterances, splits['validation'])))
        assert len(validated[-1]) == 2
    assert sorted(tested) == sorted(SOME[:count])
    assert len(set(validated)) == folds


@pytest.mark.parametrize(
    ('call', 'settings', 'message'),
    [
        ('by_speaker', {'validation': 8, 'test': 8}, '8 validation and 8 test speakers of 16'),
        ('by_speaker', {'validation': 0, 'test': 8}, '0 validation'),
        ('by_speaker', {'validation': 1, 'test': 0}, '0 test'),
        ('fold', {'number': 0, 'folds': 17, 'validation': 1}, '17 folds of 16 speakers'),
        ('fold', {'number': 0, 'folds': 1, 'validation': 1}, '1 folds of 16 speakers'),
        ('fold', {'number': 4, 'folds': 4, 'validation': 1}, 'fold 4 of 4'),
        ('fold', {'number': 0, 'folds': 2, 'validation': 8}, '8 validation and 8 test speakers'),
        (
            'by_speaker',
            {'validation': 0, 'test': 0},
            'set config.data.validation, and config.data.test',
        ),
    ],
)
def test_impossible_splits_are_refused(call, settings, message):
    assert message in refusal(
        getattr(timit_splits, call), spoken('train', SOME), seed=0, **settings
    )
