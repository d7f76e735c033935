import numpy as np
import pytest

from mimic_jax.speech import alignment


def split(ends, phones, frames):
    return alignment.split_segments(np.array(ends), np.array(phones), frames).tolist()


def literal(ends, phones, frames):
    """The rule, frame by frame: the frame's segment, then the third that the frame's middle lies in."""
    owners = []
    for t in range(frames):
        centre = 160 * t + 200
        owners.append(min(sum(end <= centre for end in ends), len(ends) - 1))
    states = []
    for t, owner in enumerate(owners):
        place, count = owners[:t].count(owner), owners.count(owner)
        share = (place + 0.5) / count
        states.append(3 * phones[owner] + sum(share >= edge for edge in (1 / 3, 2 / 3)))
    return states


def test_a_segment_is_split_in_three():
    assert split([960], [2], 6) == [6, 6, 7, 7, 8, 8]


@pytest.mark.parametrize(
    ('frames', 'parts'), [(1, [1]), (2, [0, 2]), (3, [0, 1, 2]), (4, [0, 1, 1, 2])]
)
def test_short_segments(frames, parts):
    assert split([160 * frames + 240], [0], frames) == parts


def test_the_centre_decides_and_a_boundary_begins_the_next_segment():
    # Centres at 200, 360, 520, 680, 840 and 1000.
    assert split([520, 1000], [0, 1], 5) == [0, 2, 3, 4, 5]
    assert split([521, 1000], [0, 1], 5) == [0, 1, 2, 3, 5]


def test_frames_past_the_last_label_are_the_last_segments():
    assert split([520, 680], [0, 1], 5) == [0, 2, 3, 4, 5]


def test_a_segment_between_two_centres_has_no_frame():
    assert split([370, 510, 900], [0, 1, 2], 4) == [0, 2, 6, 8]
    assert split([100, 900], [0, 1], 3) == [3, 4, 5]


def test_random_segmentations_follow_the_rule():
    draw = np.random.default_rng(0)
    for _ in range(30):
        count = int(draw.integers(1, 12))
        ends = np.cumsum(draw.integers(1, 900, count)).tolist()
        phones = draw.integers(0, 61, count).tolist()
        frames = int(draw.integers(1, 50))
        assert split(ends, phones, frames) == literal(ends, phones, frames)


@pytest.mark.parametrize(
    ('ends', 'phones'), [([], []), ([100, 200], [1]), ([200, 200], [1, 2]), ([300, 200], [1, 2])]
)
def test_what_is_no_segmentation_is_refused(ends, phones):
    with pytest.raises(ValueError):
        split(ends, phones, 3)
