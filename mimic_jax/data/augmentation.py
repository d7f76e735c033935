"""Image augmentation as pure maths on one image [H, W, C]; random draws come in as arguments."""

import chex
import jax
import jax.numpy as jnp

from mimic_jax.data import spline

PADDINGS = {'zero': 'constant', 'reflect': 'reflect'}  # our word: jnp.pad's mode


def mirror(image: jax.Array, flag: jax.Array) -> jax.Array:
    """The image with left and right exchanged where `flag` (scalar bool) holds.

    image: [H, W, C], any type.  Returns the same shape and type.
    """
    chex.assert_rank([image, flag], [3, 0])
    return jnp.where(flag, image[:, ::-1], image)


def shift(image: jax.Array, offset: jax.Array, limit: int, padding: str) -> jax.Array:
    """The [H, W] window at `offset` of the image padded by `limit` pixels on every side.

    A positive offset moves the content up or left.

    image: [H, W, C], any type.  offset: [2] int, rows and columns, each within ±limit.
    padding: 'zero', or 'reflect' about the edge pixel's centre (needs a limit below H and W).
    Returns [H, W, C] of the image's type.

    Raises:
      ValueError: an unknown padding.
    """
    chex.assert_rank([image, offset], [3, 1])
    chex.assert_type(offset, int)
    if padding not in PADDINGS:
        raise ValueError(f'padding is {padding!r}; it must be one of {", ".join(PADDINGS)}')
    height, width, _ = image.shape
    padded = jnp.pad(image, ((limit, limit), (limit, limit), (0, 0)), mode=PADDINGS[padding])
    rows = jnp.arange(height) + limit + offset[0]
    columns = jnp.arange(width) + limit + offset[1]
    # Whole rows, then columns: under vmap on two CPU cores, 128 images of 32×32×3 take 0.3–0.6 ms,
    # draws included. dynamic_slice took 0.4–1.2 ms, take_along_axis 0.3–0.8, one flat gather
    # 0.4–0.8, one-hot products 1.5–2.0, rolls by powers of two 2.3–4.0, lax.map 2.4–3.1.
    return padded[rows][:, columns]


def cut_out(image: jax.Array, centre: jax.Array, size: int) -> jax.Array:
    """The image with a square replaced by each channel's mean over the image (DeVries & Taylor 2017).

    The paper cuts after the data's mean was taken off and fills with 0. Views come before that.

    image: [H, W, C], any type; the mean of whole numbers is rounded, a half upwards.
    centre: [2] int, row and column; the square begins size // 2 before it and may lie partly outside.
    Returns [H, W, C] of the image's type.
    """
    chex.assert_rank([image, centre], [3, 1])
    height, width, _ = image.shape
    if jnp.issubdtype(image.dtype, jnp.integer):
        count = height * width  # int32 holds the sums of up to 4 million pixels
        total = jnp.sum(image.astype(jnp.int32), axis=(0, 1))
        mean = ((2 * total + count) // (2 * count)).astype(image.dtype)
    else:
        mean = jnp.mean(image, axis=(0, 1))
    rows, columns = inside(centre - size // 2, jnp.array([size, size]), height, width)
    return jnp.where((rows[:, None] & columns)[..., None], mean, image)


def inside(
    corner: jax.Array, sides: jax.Array, height: int, width: int
) -> tuple[jax.Array, jax.Array]:
    """Which rows [H] and columns [W], bool, lie in a box.  corner, sides: [2] int."""
    ends = corner + sides
    rows, columns = jnp.arange(height), jnp.arange(width)
    return (rows >= corner[0]) & (rows < ends[0]), (columns >= corner[1]) & (columns < ends[1])


def light(image: jax.Array, factors: jax.Array) -> jax.Array:
    """Brightness, then contrast, each cut off at 0 and 255.

    Brightness multiplies every value. Contrast multiplies the distance from the mean grey level, grey
    being .299 R + .587 G + .114 B (ITU-R BT.601), as Pillow's ImageEnhance and torchvision have it.

    image: [H, W, 1 or 3], any type, from 0 to 255.  factors: [2], of brightness and of contrast.
    Returns [H, W, C] float32.
    """
    chex.assert_rank([image, factors], [3, 1])
    bright = jnp.clip(image.astype(jnp.float32) * factors[0], 0, 255)
    shares = jnp.array({1: [1.0], 3: [0.299, 0.587, 0.114]}[image.shape[-1]], jnp.float32)
    grey = jnp.sum(jnp.mean(bright, axis=(0, 1)) * shares)
    return jnp.clip(grey + factors[1] * (bright - grey), 0, 255)


def resized_crop(image: jax.Array, corner: jax.Array, sides: jax.Array) -> jax.Array:
    """A box of the image, enlarged to the image's size by linear interpolation on each axis.

    Pixel i of H stands at corner + (i + ½) · side / H, pixel j of the image at j + ½; beyond the outermost
    centres the outermost pixel goes on. That is Pillow's `resize(box=…)` with its BILINEAR filter.

    image: [H, W, C], any type.  corner, sides: [2] float, rows and columns in pixels, within the image.
    Returns [H, W, C] float32.
    """
    chex.assert_rank([image, corner, sides], [3, 1, 1])

    def matrix(length: int, start: jax.Array, side: jax.Array) -> jax.Array:
        at = start + (jnp.arange(length) + 0.5) * (side / length) - 0.5
        at = jnp.clip(at, 0, length - 1)
        return jnp.maximum(1 - jnp.abs(at[:, None] - jnp.arange(length)), 0)

    # As matrices: gathers are slow on accelerators, and on a CPU the compiler would work out what comes
    # before them anew for every pixel that they read.
    rows, columns = (matrix(*each) for each in zip(image.shape[:2], corner, sides, strict=True))
    return spline.resample(image, rows, columns)
