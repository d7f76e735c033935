"""Hue, saturation and value (Smith 1978), and their change in one image, as Urban et al. 2017 do it."""

import chex
import jax
import jax.numpy as jnp

_GREEN, _BLUE = 2.0, 4.0  # where their sixths of the circle of hues begin; red's is 0


def rgb_to_hsv(rgb: jax.Array) -> jax.Array:
    """Hue in [0, 1), saturation and value of colours; grey has hue 0, black saturation 0.

    rgb: [..., 3] float, from 0 to 1.  Returns [..., 3].
    """
    chex.assert_axis_dimension(rgb, -1, 3)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    value = jnp.maximum(jnp.maximum(red, green), blue)
    spread = value - jnp.minimum(jnp.minimum(red, green), blue)
    per_spread = 1 / jnp.where(spread > 0, spread, 1.0)
    sixths = jnp.where(
        value == red,
        (green - blue) * per_spread,
        jnp.where(
            value == green, _GREEN + (blue - red) * per_spread, _BLUE + (red - green) * per_spread
        ),
    )
    hue = sixths / 6
    saturation = spread / jnp.where(value > 0, value, 1.0)
    return jnp.stack([jnp.where(hue < 0, hue + 1, hue), saturation, value], axis=-1)


def hsv_to_rgb(hsv: jax.Array) -> jax.Array:
    """The colours of hues (any number: its fraction counts), saturations and values from 0 to 1.

    hsv: [..., 3] float.  Returns [..., 3], from 0 to 1.
    """
    chex.assert_axis_dimension(hsv, -1, 3)
    hue, saturation, value = hsv[..., 0], hsv[..., 1], hsv[..., 2]
    sixths = 6 * (hue - jnp.floor(hue))

    def channel(start: float) -> jax.Array:
        # How far this channel lies below the value, over saturation × value: 0, a ramp, 1, a ramp.
        along = start + sixths
        along = along - 6 * jnp.floor(along / 6)
        return value - value * saturation * jnp.clip(jnp.minimum(along, 4 - along), 0, 1)

    return jnp.stack([channel(5), channel(3), channel(1)], axis=-1)


def adjust(image: jax.Array, shifts: jax.Array, scales: jax.Array) -> jax.Array:
    """Hue + Δh (around the circle), a_s · saturation + Δs and a_v · value + Δv, cut off at 0 and 1.

    image: [H, W, 3], any type, from 0 to 255.  shifts: [3], Δh, Δs, Δv.  scales: [2], a_s, a_v.
    Returns [H, W, 3] float32, from 0 to 255.
    """
    chex.assert_shape([shifts, scales], [(3,), (2,)])
    hsv = rgb_to_hsv(image.astype(jnp.float32) / 255)
    hue = hsv[..., :1] + shifts[0]
    others = jnp.clip(hsv[..., 1:] * scales + shifts[1:], 0, 1)
    return 255 * hsv_to_rgb(jnp.concatenate([hue, others], axis=-1))
