import itertools

import jax
import numpy as np
import pytest

from mimic_jax.ops import context

BOUNDS = np.array([0, 3, 4, 30, 47])
FRAMES = np.random.default_rng(0).normal(size=(47, 123)).astype(np.float32)


def stored():
    """All windows stored, [N, 1845]: what gathering them in the step must equal."""
    rows = []
    for start, stop in itertools.pairwise(BOUNDS):
        spoken = FRAMES[start:stop]
        padded = np.concatenate([spoken[:1].repeat(7, 0), spoken, spoken[-1:].repeat(7, 0)])
        rows += [padded[t : t + 15].ravel() for t in range(len(spoken))]
    return np.array(rows)


def gathered(index, width=7):
    first, last = context.edges(BOUNDS)
    return jax.jit(context.windows, static_argnames='width')(
        FRAMES, first[index], last[index], index, width=width
    )


def test_windows_equal_stored_ones_in_any_order():
    index = np.random.default_rng(1).permutation(47).astype(np.int32)
    windows = gathered(index)
    assert windows.shape == (47, 15, 41, 3)
    flat = windows.reshape(47, -1)
    assert flat.shape == (47, 1845)
    np.testing.assert_array_equal(flat, stored()[index])


def test_bands_and_channels_are_the_frames_own():
    windows = np.asarray(gathered(np.array([20])))
    for band in (0, 1, 40):
        for channel in range(3):
            np.testing.assert_array_equal(
                windows[0, :, band, channel], FRAMES[13:28, 3 * band + channel]
            )


def test_context_stops_at_the_utterances_edges():
    changed = np.array([0, 2, 4, 29])  # the neighbours of the utterance of one frame, and others
    windows = np.asarray(gathered(np.array([3])))
    np.testing.assert_array_equal(windows.reshape(15, 123), FRAMES[[3] * 15])
    first, last = context.edges(BOUNDS)
    other = FRAMES.copy()
    other[changed] = np.nan
    again = context.windows(other, first[[3]], last[[3]], np.array([3]))
    np.testing.assert_array_equal(again, windows)


@pytest.mark.parametrize('width', [0, 2])
def test_the_width_is_a_setting(width):
    windows = np.asarray(gathered(np.array([10, 11]), width=width))
    assert windows.shape == (2, 2 * width + 1, 41, 3)
    np.testing.assert_array_equal(windows[1, width].ravel(), FRAMES[11])


def test_edges_name_each_rows_utterance():
    first, last = context.edges(np.array([0, 2, 2, 3]))
    assert first.tolist() == [0, 0, 2] and last.tolist() == [1, 1, 2]
    assert first.dtype == last.dtype == np.int32
