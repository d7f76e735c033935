"""Inputs that the student alone does not see: masks by hand, training, answers, exports and names."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from conftest import refusal, tiny_digits

from mimic_jax.models import masks, nets


@pytest.mark.parametrize(
    ('parts', 'shape', 'hidden'),
    [
        ((), (2, 3), []),
        (('1',), (4,), [1]),
        (('-1', '0'), (4,), [0, 3]),
        ((':,2:',), (2, 3), [2, 5]),
        (('1',), (2, 3), [3, 4, 5]),
        ((':,:,0',), (2, 2, 2), [0, 2, 4, 6]),
        (('::2, 1',), (3, 2), [1, 5]),
    ],
)
def test_masks_by_hand(parts, shape, hidden):
    found = masks.seen(parts, shape)
    assert found.shape == shape and found.dtype == np.float32
    assert np.flatnonzero(found == 0).tolist() == hidden and set(found.flat) <= {0.0, 1.0}


@pytest.mark.parametrize(
    ('part', 'words'),
    [
        ('4', "unseen has '4', which is no part of an example of shape (4,)"),
        ('', "unseen has ''"),
        ('1:1', "unseen has '1:1'"),
        ('1,1', "unseen has '1,1'"),
        ('1:2:3:4', "unseen has '1:2:3:4'"),
        ('::0', "unseen has '::0'"),
        ('first', "unseen has 'first'"),
        ('...', "unseen has '...'"),
        (':', 'unseen leaves nothing of an example of shape (4,)'),
    ],
)
def test_what_is_no_part_is_refused_in_a_line(part, words):
    assert words in refusal(masks.seen, (part,), (4,))


@pytest.mark.parametrize('spec', ['3L-5', '2c3-p2-5', 'd.3-5-bn'])
def test_a_net_answers_alike_whatever_stands_where_it_does_not_see(spec):
    shape, draw = (6, 4, 1), np.random.default_rng(0)
    net = nets.of_spec(spec, 3, unseen=(':,2:',))
    variables = net.init(jax.random.key(0), shape)
    one, other = draw.normal(size=(2, 5, *shape)).astype(np.float32)
    other[:, :, :2] = one[:, :, :2]
    np.testing.assert_array_equal(net.apply(variables, one), net.apply(variables, other))
    blank = one * (np.arange(4) < 2)[:, None]
    plain = nets.of_spec(spec, 3)
    np.testing.assert_array_equal(net.apply(variables, one), plain.apply(variables, blank))
    assert np.abs(net.apply(variables, one) - plain.apply(variables, one)).max() > 1e-3
    assert net.describe(shape) == plain.describe(shape)


def test_an_absorbed_net_does_not_see_either():
    net = nets.of_spec('3L-5', 3, unseen=('1',))
    assert net.absorbed() == nets.of_spec('5', 3, unseen=('1',))


def test_it_is_rebuilt_from_what_lies_beside_an_export():
    net = nets.of_spec('3L-5', 3, unseen=('1', '3:'))
    written = json.loads(json.dumps(dataclasses.asdict(net)))
    assert nets.of_spec(**written) == net
    del written['unseen']  # as an older version wrote it
    assert nets.of_spec(**written) == nets.of_spec('3L-5', 3)


def with_unseen(*parts, **data):
    config = tiny_digits()
    config.students.mimic.unseen = parts
    config.data.update(data)
    return config


def test_students_learn_replayed_logits_of_the_whole_input(tmp_path, make_session):
    """Cache and teachers stay the same artifacts; every choice of hidden parts makes another student."""
    plain, half, other = (
        make_session(config, tmp_path)[1]
        for config in (tiny_digits(), with_unseen(':,4:'), with_unseen(':,:4'))
    )
    assert plain.caches['ensemble'].recipe.name == half.caches['ensemble'].recipe.name
    names = {plan.students['mimic'][0].recipe.name for plan in (plain, half, other)}
    assert len(names) == 3
    assert half.students['labels'][0].recipe.name == plain.students['labels'][0].recipe.name
    assert half.students['mimic'][0].task.net.unseen == (':,4:',)


@pytest.mark.parametrize('kind', ['image', 'gcn'])
def test_inputs_that_are_mixed_by_preprocessing_are_refused(kind, make_session, tmp_path):
    line = refusal(make_session, with_unseen(':,4:', preprocess=kind), tmp_path)
    assert line.startswith('config.students.mimic.unseen needs each input preprocessed by itself')


def test_parts_that_are_not_there_are_refused_by_their_place(make_session, tmp_path):
    line = refusal(make_session, with_unseen('8'), tmp_path)
    assert line.startswith(
        "config.students.mimic.unseen has '8', which is no part of an example of shape"
    )


def test_own_modules_are_refused(make_session, tmp_path):
    config = with_unseen('1')
    config.students.mimic.model = 'flax:examples.nets:WRN'
    line = refusal(make_session, config, tmp_path)
    assert line.startswith("config.students.mimic.unseen is for nets of the papers' notation")
