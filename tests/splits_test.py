import numpy as np
import pytest

from mimic_jax.data import splits
from mimic_jax.data.settings import Data
from mimic_jax.errors import UserError

POOL, UNLABELLED, TEST = 50, 20, 15


def divide(data, pool=POOL, unlabelled=0, test=0, content='content'):
    """The splits of numbered examples: example i holds i, its label is i modulo 7."""
    total = pool + unlabelled + test
    labels = (np.arange(total) % 7).astype(np.int32)
    labels[pool : pool + unlabelled] = -1
    regions = {'pool': pool, 'unlabelled': unlabelled, 'test': test}
    return splits.divide(np.arange(total)[:, None], labels, regions, 7, content, data)


def sets(dataset):
    return {name: set(split.tolist()) for name, split in dataset.splits.items()}


def sizes(dataset):
    return {name: len(split) for name, split in dataset.splits.items()}


def refusal(data, **regions):
    with pytest.raises(UserError) as caught:
        divide(data, **regions)
    assert '\n' not in str(caught.value)
    return str(caught.value)


CASES = [
    (Data(train=10, validation=5, test=8), {}, (10, 5, 8, 27)),
    (Data(train=0, validation=5, test=8), {}, (37, 5, 8, 0)),
    (Data(train=37, validation=5, test=8), {}, (37, 5, 8, 0)),
    (Data(train=10, validation=5, test=8, unlabelled=3), {}, (10, 5, 8, 3)),
    (Data(train=10, validation=5, test=8, unlabelled=0), {}, (10, 5, 8, 0)),
    (Data(train=10, validation=5, test=8), {'unlabelled': UNLABELLED}, (10, 5, 8, 47)),
    (Data(train=0, validation=5, test=8), {'unlabelled': UNLABELLED}, (37, 5, 8, 20)),
    (Data(train=0, validation=5), {'test': TEST}, (45, 5, 15, 0)),
    (Data(train=20, validation=5, test=6), {'test': TEST}, (20, 5, 6, 25)),
    (Data(train=20, validation=5), {'unlabelled': UNLABELLED, 'test': TEST}, (20, 5, 15, 45)),
]


@pytest.mark.parametrize(('data', 'regions', 'expected'), CASES)
def test_splits_have_the_sizes_asked_for_and_share_nothing(data, regions, expected):
    dataset = divide(data, **regions)
    names = ('train', 'validation', 'test', 'unlabelled')
    assert sizes(dataset) == dict(zip(names, expected, strict=True))
    union = set().union(*sets(dataset).values())
    assert len(union) == sum(expected), 'an example is in two splits, or twice in one'
    assert union <= set(range(len(dataset.inputs)))
    assert all(split.dtype == np.int32 for split in dataset.splits.values())


@pytest.mark.parametrize(('data', 'regions', 'expected'), CASES)
def test_only_labelled_splits_keep_their_labels(data, regions, expected):
    dataset = divide(data, **regions)
    labelled = set().union(*(sets(dataset)[name] for name in ('train', 'validation', 'test')))
    for index, label in enumerate(dataset.labels):
        assert label == (index % 7 if index in labelled else -1)
    assert dataset.labels.dtype == np.int32


def test_a_test_split_of_the_datas_own_is_kept_whole_and_apart():
    dataset = divide(Data(validation=5), unlabelled=UNLABELLED, test=TEST)
    np.testing.assert_array_equal(
        dataset.splits['test'], np.arange(POOL + UNLABELLED, POOL + UNLABELLED + TEST)
    )
    assert sets(dataset)['train'] | sets(dataset)['validation'] == set(range(POOL))
    assert sets(dataset)['unlabelled'] == set(range(POOL, POOL + UNLABELLED))


def test_what_a_smaller_test_split_leaves_out_is_used_nowhere():
    dataset = divide(Data(validation=5, test=6), test=TEST)
    used = set().union(*sets(dataset).values())
    assert used == set(range(POOL + 6))


def test_splits_are_drawn_not_cut_off():
    dataset = divide(Data(train=10, validation=10, test=10), pool=1000)
    for name in ('train', 'validation', 'test'):
        split = dataset.splits[name]
        # The chance that ten of a thousand drawn all lie in the first half is below .001.
        assert split.min() < 500 < split.max()
        assert np.any(np.diff(split) != 1)


def test_the_same_config_gives_the_same_splits():
    data = Data(train=10, validation=5, test=8, seed=4)
    first, second = divide(data), divide(data)
    assert first.fingerprint == second.fingerprint
    for name in first.splits:
        np.testing.assert_array_equal(first.splits[name], second.splits[name])


def test_another_seed_draws_other_splits():
    first, second = (divide(Data(train=10, validation=5, test=8, seed=seed)) for seed in (0, 1))
    assert sets(first)['train'] != sets(second)['train']
    assert sets(first)['test'] != sets(second)['test']


def test_a_smaller_training_split_holds_out_the_same_examples():
    """A curve over labelled examples is thus measured on one test split."""
    few, many = (divide(Data(train=train, validation=5, test=8)) for train in (10, 30))
    for name in ('validation', 'test'):
        np.testing.assert_array_equal(few.splits[name], many.splits[name])
    assert sets(few)['train'] < sets(many)['train']


def test_fingerprint_changes_with_content_and_with_every_split():
    base = {'train': 10, 'validation': 5, 'test': 8}
    changes = [{}, {'seed': 1}, {'train': 11}, {'validation': 6}, {'test': 9}, {'unlabelled': 4}]
    prints = [divide(Data(**{**base, **change})).fingerprint for change in changes]
    prints.append(divide(Data(**base), content='other').fingerprint)
    assert len(set(prints)) == len(prints)


def test_examples_of_several_splits_stand_one_after_another():
    dataset = divide(Data(train=10, validation=5, test=8))
    both = dataset.examples(('unlabelled', 'train'), 'here')
    expected = [*dataset.splits['unlabelled'], *dataset.splits['train']]
    np.testing.assert_array_equal(both, expected)


def test_examples_of_a_misspelt_or_empty_split_are_refused():
    dataset = divide(Data(validation=5, test=8))
    with pytest.raises(UserError, match="here names the split 'trian'; did you mean 'train'"):
        dataset.examples(('trian',), 'here')
    with pytest.raises(UserError, match='here: the splits unlabelled hold no examples'):
        dataset.examples(('unlabelled',), 'here')
    assert len(dataset.examples(('train', 'unlabelled'), 'here')) == 37


@pytest.mark.parametrize(
    ('data', 'regions', 'message'),
    [
        (Data(validation=5), {}, 'config.data.test is 0'),
        (Data(validation=5, test=51), {}, 'config.data.test is 51, but only 50'),
        (Data(validation=5, test=16), {'test': TEST}, 'config.data.test is 16, but only 15'),
        (Data(validation=43, test=8), {}, 'config.data.validation is 43, but only 42'),
        (Data(train=38, validation=5, test=8), {}, 'config.data.train is 38, but only 37'),
        (Data(train=10, validation=0, test=8), {}, 'config.data.validation is 0'),
        (Data(validation=42, test=8), {}, 'no examples are left to train on'),
    ],
)
def test_splits_that_cannot_be_made_are_refused(data, regions, message):
    assert message in refusal(data, **regions)


def test_input_shape_is_an_examples():
    assert divide(Data(validation=5, test=8)).input_shape == (1,)


def test_label_noise_changes_its_part_of_the_training_labels_and_nothing_else():
    settings = {'train': 300, 'validation': 50, 'test': 50}
    clean = divide(Data(**settings), pool=500)
    noisy = divide(Data(**settings, label_noise=0.3), pool=500)
    train = clean.splits['train']
    changed = train[clean.labels[train] != noisy.labels[train]]
    assert len(changed) == 90
    assert set(noisy.labels[changed]) == set(range(7))  # every class, and so none past the last
    others = np.setdiff1d(np.arange(500), changed)
    assert (clean.labels[others] == noisy.labels[others]).all()
    assert all((clean.splits[name] == noisy.splits[name]).all() for name in clean.splits)
    assert clean.fingerprint != noisy.fingerprint
    again = divide(Data(**settings, label_noise=0.3), pool=500)
    assert (again.labels == noisy.labels).all() and again.fingerprint == noisy.fingerprint


def test_wrong_labels_are_each_of_the_other_classes_equally_often():
    settings = {'train': 7000, 'validation': 5, 'test': 5}
    clean = divide(Data(**settings), pool=7010)
    noisy = divide(Data(**settings, label_noise=0.9), pool=7010)
    train = clean.splits['train']
    steps = (noisy.labels[train] - clean.labels[train]) % 7
    counts = np.bincount(steps, minlength=7)
    assert counts[0] == 700
    assert np.abs(counts[1:] - 1050).max() < 5 * np.sqrt(1050)
