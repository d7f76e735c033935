"""Image augmentation as pure maths on one image [H, W, C]; random draws come in as arguments."""

import chex
import jax
import jax.numpy as jnp

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
