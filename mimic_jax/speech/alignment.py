"""The first alignment of frames to states: each labelled segment split in three. Host arrays."""

import numpy as np

from mimic_jax.speech.fbank import SHIFT, WINDOW
from mimic_jax.speech.phones import PARTS


def split_segments(
    ends: np.ndarray, phones: np.ndarray, frames: int, shift: int = SHIFT, length: int = WINDOW
) -> np.ndarray:
    """The state of every frame, from a segmentation alone (the start of Mohamed et al. 2012's).

    A frame belongs to the segment that its centre, sample t·shift + length/2, lies in; a centre on a
    boundary lies in the segment that begins there. The first segment is taken to begin with the
    audio and the last to end with it (both are silence, h#, in TIMIT). So frames before the first
    label belong to the first segment, and frames past the last label to the last.

    The i-th of a segment's n frames is in part ⌊3 (2i + 1) / 2n⌋, the third of the segment that the
    frame's middle falls into. Parts grow evenly: 2 frames are parts 0 and 2, 1 frame is part 1. A
    segment between two centres has no frame.

    ends: [S] int, rising, in samples; a segment begins where the one before it ends.
    phones: [S] int, the segments' phones.  frames: the number of frames, T.
    shift, length: a frame's, in samples.
    Returns [T] int32, states 3·phone + part.

    Raises:
      ValueError: no segments, ends that do not rise, or lengths that differ.
    """
    ends, phones = np.asarray(ends), np.asarray(phones)
    if ends.shape != phones.shape or ends.ndim != 1 or len(ends) == 0:
        raise ValueError(f'ends {ends.shape} and phones {phones.shape} must both be one [S], S ≥ 1')
    if (np.diff(ends) <= 0).any():
        raise ValueError('the ends of segments must rise')
    centres = np.arange(frames) * shift + length // 2
    segment = np.searchsorted(ends[:-1], centres, side='right')
    counts = np.bincount(segment, minlength=len(ends))
    place = np.arange(frames) - np.repeat(np.cumsum(counts) - counts, counts)
    part = PARTS * (2 * place + 1) // (2 * counts[segment])
    return (PARTS * phones[segment] + part).astype(np.int32)
