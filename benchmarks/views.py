"""Views a second of Urban et al.'s augmentation, beside a loop over images with numpy and scipy.

    python benchmarks/views.py --json=results/views.json
    python benchmarks/views.py --others --json=results/other_views.json

A batch is 32×32×3 uint8 noise on the device. Ours is `views.of_batch`, compiled, with its draws.
The peer works in the usual way with the same constants: colours by numpy on all pixels of an image
at once, a flip, a crop, and `scipy.ndimage.zoom` of each channel. `--others` measures every other
augmentation against the whole of Urban et al.'s, which is then the peer. Each is the best of
several runs, because other work on the machine can only add to a time. `--json=FILE` keeps the
rows, and the load of the machine.
"""

import argparse
import os
import time
from pathlib import Path

import jax
import numpy as np
import record
from scipy import ndimage

from mimic_jax.data import views
from mimic_jax.data.view_settings import Views

# Those of the students' 160 epochs (Urban et al. 2017).
SETTINGS = Views(
    mirror=True,
    crop=24,
    hue=0.06,
    saturation=0.26,
    value=0.20,
    saturation_scale=0.21,
    value_scale=0.13,
)
SIZES = (128, 512)
COLOURS = ('hue', 'saturation', 'value', 'saturation_scale', 'value_scale')
PARTS = {
    'views': SETTINGS,
    'views, colours alone': Views(**{name: getattr(SETTINGS, name) for name in COLOURS}),
    'views, mirror alone': Views(mirror=True),
    'views, crop alone': Views(crop=24),
}


OTHERS = {
    'shift by 4, mirror': Views(mirror=True, shift=4, padding='reflect'),
    'alternating mirror': Views(mirror=True, alternate=True),
    'brightness, contrast': Views(brightness=0.4, contrast=0.4),
    'crop by area': Views(area=0.25),
    'cutout 8': Views(cutout=8),
    'mixup': Views(mixup=0.4),
    'cutmix': Views(cutmix=1.0),
    'all but mixing': Views(
        mirror=True, alternate=True, brightness=0.4, contrast=0.4, area=0.25, cutout=8
    ),
    'all and mixup': Views(
        mirror=True, alternate=True, brightness=0.4, contrast=0.4, area=0.25, cutout=8, mixup=0.4
    ),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--repeats', type=int, default=20)
    parser.add_argument('--others', action='store_true')
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    start = time.monotonic()
    images = np.random.default_rng(0).integers(0, 256, (max(SIZES), 32, 32, 3)).astype(np.uint8)
    if arguments.others:
        rows = [row for size in SIZES for row in others(images[:size], arguments.repeats)]
    else:
        draw = np.random.default_rng(1)
        peer = rate(lambda: [slow_view(draw, image) for image in images[:128]], 128, 3)
        rows = [
            row(name, size, images, arguments.repeats, peer) for name in PARTS for size in SIZES
        ]
    for found in rows:
        beside = f', peer {found["peer"]:,}, ratio {found["ratio"]}' if found['peer'] else ''
        print(f'{found["name"]}: {found["ours"]:,}{beside}')
    if arguments.json:
        seconds, load = round(time.monotonic() - start, 1), round(os.getloadavg()[0], 1)
        record.save(arguments.json, rows, seconds=seconds, load=load)


def row(name: str, size: int, images: np.ndarray, repeats: int, peer: float) -> dict:
    """Views a second; the peer's where all of them are on."""
    ours = rate(made(PARTS[name], images[:size]), size, repeats)
    beside = name == 'views'
    return {
        'name': f'{name}, batch {size}, views/s',
        'ours': round(ours),
        'peer': round(peer) if beside else None,
        'ratio': round(ours / peer, 2) if beside else None,
    }


def others(images: np.ndarray, repeats: int) -> list[dict]:
    """Views a second of each other augmentation, beside those of Urban et al."""
    size = len(images)
    calls = {name: made(settings, images) for name, settings in OTHERS.items()}
    urban = made(SETTINGS, images)
    found = []
    for name, call in calls.items():  # one after the other, so that both meet the same load
        ours, peer = rate(call, size, repeats), rate(urban, size, repeats)
        found.append(record.rate(f'{name}, batch {size}, views/s', ours, peer))
    return found


def made(settings: Views, images: np.ndarray):
    """Makes a view of every image, each mixed with the next where the settings mix."""
    index = np.arange(len(images), dtype=np.int32)
    partner = np.roll(index, 1)
    batch = {'inputs': images, 'index': index, 'view': np.int32(1)}
    batch |= {'partner': partner, 'partner_inputs': images[partner]}
    batch = jax.device_put(batch)
    call = jax.jit(lambda batch: views.of_batch(batch, 0, settings))
    return lambda: call(batch).block_until_ready()


def rate(call, count: int, repeats: int) -> float:
    """`count` over the least seconds that a call took, after one that compiles."""
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return count / min(seconds)


def slow_view(draw: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """One view of one image [32, 32, 3], the usual way."""
    most = (SETTINGS.hue, SETTINGS.saturation, SETTINGS.value)
    shifts = draw.uniform(-1, 1, 3) * most
    largest = 1 + np.array([SETTINGS.saturation_scale, SETTINGS.value_scale])
    scales = draw.uniform(1 / largest, largest)
    image = adjusted(image / np.float32(255), shifts, scales)
    if draw.random() < 0.5:
        image = image[:, ::-1]
    size = draw.integers(SETTINGS.crop, 33)
    top, left = draw.integers(0, 33 - size, 2)
    part = image[top : top + size, left : left + size]
    zoomed = [ndimage.zoom(part[..., channel], 32 / size, order=3) for channel in range(3)]
    return np.clip(255 * np.stack(zoomed, axis=-1), 0, 255)


def adjusted(rgb: np.ndarray, shifts: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Colours moved in hue, saturation and value, all pixels at once."""
    red, green, blue = np.moveaxis(rgb, -1, 0)
    value, spread = rgb.max(-1), np.ptp(rgb, axis=-1)
    divisor = np.where(spread > 0, spread, 1)
    sixths = np.select(
        [rgb.argmax(-1) == 0, rgb.argmax(-1) == 1],
        [(green - blue) / divisor, 2 + (blue - red) / divisor],
        4 + (red - green) / divisor,
    )
    sixths = (sixths + 6 * shifts[0]) % 6
    saturation = np.clip(spread / np.maximum(value, 1e-9) * scales[0] + shifts[1], 0, 1)
    value = np.clip(value * scales[1] + shifts[2], 0, 1)
    along = (np.array([5, 3, 1]) + sixths[..., None]) % 6
    below = np.clip(np.minimum(along, 4 - along), 0, 1)
    return value[..., None] * (1 - saturation[..., None] * below)


if __name__ == '__main__':
    main()
