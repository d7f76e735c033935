"""Speech features: 40 log-mel bands and the log energy, every 10 ms, with Δ and ΔΔ.

Ba & Caruana 2014, section 3: 25 ms Hamming windows, (40 + 1) × 3 numbers a frame. Where the paper
gives no detail, kaldi-native-fbank does what Kaldi does.
"""

import numpy as np

from mimic_jax.errors import UserError
from mimic_jax.ops.context import CHANNELS

# Part of artifacts' names. Raise it with every change of the numbers that the same audio gives.
VERSION = 1
SAMPLE_RATE = 16000  # Hz
WINDOW, SHIFT = 400, 160  # samples: 25 and 10 ms
BANDS = 41  # the energy, then 40 mel bands from low to high
FEATURES = BANDS * CHANNELS  # 123
REACH = 2  # frames on each side in the regression of a Δ


def frame_count(samples: int) -> int:
    """The number of whole windows in so many samples."""
    return 0 if samples < WINDOW else 1 + (samples - WINDOW) // SHIFT


def features(samples: np.ndarray) -> np.ndarray:
    """The 123 numbers of each frame, [T, 123] float32; their plain reshape is [T, 41, 3].

    Number 3 b + c is band b (0 the log energy, 1–40 the mel bands) and channel c (static, Δ, ΔΔ).
    samples: [n] float32 at 16 kHz in 16-bit units.  T is `frame_count(n)`.

    Raises:
      UserError: kaldi-native-fbank is not installed.
    """
    static = filter_bank(samples)
    first = deltas(static)
    return np.stack([static, first, deltas(first)], axis=2).reshape(len(static), FEATURES)


def filter_bank(samples: np.ndarray) -> np.ndarray:
    """The log energy and 40 log-mel bands of each window, [T, 41] float32.

    Kaldi's steps: subtract the window's mean, take its energy (of the unweighted window),
    pre-emphasise by .97, weight by Hamming, take the 512-point power spectrum, sum over triangles of
    equal width in mel from 20 to 8000 Hz, and take natural logarithms, floored at that of 2⁻²³. There
    is no dither, so the same audio gives the same numbers.

    Raises:
      UserError: kaldi-native-fbank is not installed.
    """
    try:
        import kaldi_native_fbank as knf
    except ImportError as error:
        raise UserError(
            "speech features need kaldi-native-fbank: pip install -e '.[speech]'"
        ) from error
    options = knf.FbankOptions()
    options.frame_opts.samp_freq = SAMPLE_RATE
    options.frame_opts.frame_length_ms = 1000 * WINDOW / SAMPLE_RATE
    options.frame_opts.frame_shift_ms = 1000 * SHIFT / SAMPLE_RATE
    options.frame_opts.window_type = 'hamming'
    options.frame_opts.preemph_coeff = 0.97
    options.frame_opts.remove_dc_offset = True
    options.frame_opts.snip_edges = True
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = BANDS - 1
    options.mel_opts.low_freq = 20
    options.mel_opts.high_freq = SAMPLE_RATE / 2
    options.use_energy = True
    options.raw_energy = True
    options.energy_floor = 0
    bank = knf.OnlineFbank(options)
    # The binding takes the numbers one by one; a view is faster than an array or a list.
    bank.accept_waveform(SAMPLE_RATE, memoryview(np.ascontiguousarray(samples, np.float32)))
    bank.input_finished()
    rows = [bank.get_frame(number) for number in range(bank.num_frames_ready)]
    return np.array(rows, np.float32).reshape(-1, BANDS)


def deltas(values: np.ndarray) -> np.ndarray:
    """The slope over ±2 frames by least squares, Σ θ (c[t+θ] − c[t−θ]) / 2 Σ θ², θ = 1, 2.

    The first and the last frame are repeated beyond the edges.  Takes and returns [T, F] float32.
    """
    if not len(values):
        return values
    padded = np.pad(values, ((REACH, REACH), (0, 0)), mode='edge')
    total = np.zeros_like(values)
    for step in range(1, REACH + 1):
        later = padded[REACH + step : REACH + step + len(values)]
        total += step * (later - padded[REACH - step : REACH - step + len(values)])
    return total / np.float32(2 * sum(step**2 for step in range(1, REACH + 1)))
