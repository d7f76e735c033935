import os
import sys

import numpy as np
import pytest

from mimic_jax.errors import UserError
from mimic_jax.speech import fbank, timit, timit_files

pytest.importorskip('kaldi_native_fbank', reason="needs kaldi-native-fbank: the extra 'speech'")

TOLERANCE = 5e-4  # float32 in the library against float64 here: 7e-5 was the most on speech


def audio(seconds=0.5, seed=0):
    """Two gliding tones with noise and an offset, in 16-bit units."""
    draw = np.random.default_rng(seed)
    time = np.arange(int(16000 * seconds)) / 16000
    tones = 4000 * np.sin(2 * np.pi * (300 + 500 * time) * time) + 900 * np.sin(14000 * time)
    return (tones + 200 * draw.normal(size=len(time)) + 120).round().astype(np.float32)


def mel(hertz):
    return 1127 * np.log(1 + hertz / 700)


def triangle(values, left, middle, right):
    rise, fall = (values - left) / (middle - left), (right - values) / (right - middle)
    return np.clip(np.minimum(rise, fall), 0, None)


def twin(samples):
    """[T, 41]: energy and log-mel bands from their definitions, in float64."""
    edges = np.linspace(mel(20), mel(8000), 42)
    triangles = [
        triangle(mel(np.arange(256) * 16000 / 512), *corners)
        for corners in zip(edges, edges[1:], edges[2:], strict=False)
    ]
    rows = []
    for start in range(0, len(samples) - 399, 160):
        window = samples[start : start + 400].astype(np.float64)
        window = window - window.mean()
        row = [np.log(max(np.sum(window**2), 2.0**-23))]
        emphasised = window - 0.97 * np.concatenate([window[:1], window[:-1]])
        shaped = emphasised * (0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 399))
        power = np.abs(np.fft.rfft(shaped, 512)) ** 2
        row += [np.log(max(weights @ power[:256], 2.0**-23)) for weights in triangles]
        rows.append(row)
    return np.array(rows)


def regression(values):
    """Δ by the formula, one number at a time."""
    result = np.zeros_like(values)
    for t in range(len(values)):
        for step in (1, 2):
            later = values[min(t + step, len(values) - 1)]
            result[t] += step * (later - values[max(t - step, 0)]) / 10
    return result


def test_the_bank_is_the_definitions():
    samples = audio()
    found = fbank.filter_bank(samples)
    assert found.shape == (48, 41) and found.dtype == np.float32
    np.testing.assert_allclose(found, twin(samples), atol=TOLERANCE)


@pytest.mark.skipif(
    not os.environ.get('TIMIT_SAMPLE_DIR'), reason='TIMIT_SAMPLE_DIR names no TIMIT sample'
)
def test_the_bank_is_the_definitions_on_speech():
    for found in timit.find(os.environ['TIMIT_SAMPLE_DIR'])[::32]:
        samples = timit_files.read_audio(found.audio)[8000:16000]
        np.testing.assert_allclose(fbank.filter_bank(samples), twin(samples), atol=TOLERANCE)


def test_the_same_audio_gives_the_same_numbers():
    np.testing.assert_array_equal(fbank.features(audio()), fbank.features(audio()))


def test_digital_silence_is_finite():
    floor = np.log(2.0**-23)
    np.testing.assert_allclose(fbank.filter_bank(np.zeros(1000, np.float32)), floor, atol=1e-4)


@pytest.mark.parametrize(
    ('samples', 'frames'), [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (16000, 98)]
)
def test_only_whole_windows_are_frames(samples, frames):
    assert fbank.frame_count(samples) == frames
    assert fbank.features(np.ones(samples, np.float32)).shape == (frames, 123)


@pytest.mark.parametrize('frames', [1, 2, 3, 12])
def test_deltas_are_regressions(frames):
    values = np.random.default_rng(2).normal(size=(frames, 4)).astype(np.float32)
    np.testing.assert_allclose(fbank.deltas(values), regression(values), atol=1e-6)


def test_a_straight_line_has_its_slope():
    line = np.arange(10, dtype=np.float32)[:, None] * 3 + 5
    np.testing.assert_allclose(fbank.deltas(line)[2:-2], 3, rtol=1e-6)


def test_features_are_bands_by_channels():
    samples = audio()
    found = fbank.features(samples)
    assert found.dtype == np.float32
    static = fbank.filter_bank(samples)
    bands = found.reshape(-1, 41, 3)
    np.testing.assert_array_equal(bands[..., 0], static)
    np.testing.assert_allclose(bands[..., 1], regression(static), atol=1e-5)
    np.testing.assert_allclose(bands[..., 2], regression(regression(static)), atol=1e-5)


def test_a_missing_library_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, 'kaldi_native_fbank', None)
    with pytest.raises(UserError) as caught:
        fbank.features(audio())
    assert "pip install -e '.[speech]'" in str(caught.value) and '\n' not in str(caught.value)
