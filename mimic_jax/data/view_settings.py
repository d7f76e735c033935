"""Settings of views: how images are augmented."""

import dataclasses

from mimic_jax.config import rules
from mimic_jax.config.fields import Rule, filled, optional, setting

# Below .05 nearly all weights are 0 or 1, and beyond 100 all are ½.
_ALPHA: Rule = (lambda value: value == 0 or 0.05 <= value <= 100, '0 (off), or from 0.05 to 100')


@dataclasses.dataclass(frozen=True)
class Views:
    """Augmentation: a view of an image, drawn from (seed, view number, index of the example).

    Urban et al.'s D and A of hue (1 is the whole circle), saturation and value are `hue`,
    `saturation`, `value` (shifts by up to ±D), `saturation_scale` and `value_scale` (factors from
    1/(1 + A) to 1 + A).
    """

    seed: int = setting(
        0,
        "Draws the views of the logit caches. A net trained on labels draws its views from the net's "
        'own seed.',
        rules.SEED,
    )
    mirror: bool = setting(False, 'Mirror each image with probability ½.')
    shift: int = setting(
        0, 'Shift each image by up to so many pixels along each axis.', rules.FROM_0
    )
    padding: str = setting(
        'zero',
        'What a shift moves in: zeros, or the image reflected.',
        choices=('zero', 'reflect'),
        read=(lambda views: views.shift, 'where shift is above 0'),
    )
    crop: int = setting(
        0,
        "The side in pixels of the smallest square crop, resampled to the image's size; 0 for none.",
        (lambda value: value == 0 or value >= 2, '0 (off), or 2 or more pixels'),
    )
    hue: float = setting(0.0, 'D of the hue.', rules.TO_1)
    saturation: float = setting(0.0, 'D of the saturation.', rules.TO_1)
    value: float = setting(0.0, 'D of the value.', rules.TO_1)
    saturation_scale: float = setting(0.0, 'A of the saturation.', rules.NOT_NEGATIVE)
    value_scale: float = setting(0.0, 'A of the value.', rules.NOT_NEGATIVE)
    alternate: bool = setting(
        False,
        'Mirror every image in every other view: by chance in view 0, then each view the opposite of the '
        'one before.',
        read=(lambda views: views.mirror, 'where mirror is on'),
    )
    brightness: float = setting(
        0.0, 'A of the brightness, which is multiplied by 1 − A to 1 + A.', rules.TO_1
    )
    contrast: float = setting(
        0.0,
        'A of the contrast: distances from the mean grey level are multiplied by 1 − A to 1 + A.',
        rules.TO_1,
    )
    area: float = setting(
        0.0,
        "The area of the smallest crop over the image's; the crop has an aspect between ¾ and 4⁄3 and is "
        "enlarged to the image's size. 0 for none.",
        rules.TO_1,
    )
    cutout: int = setting(
        0,
        "The side in pixels of a square that is replaced by the image's mean colour; 0 for none.",
        rules.FROM_0,
    )
    mixup: float = setting(
        0.0,
        'α of Beta(α, α), the weight by which another example and its label are mixed in; 0 for none.',
        _ALPHA,
    )
    cutmix: float = setting(
        0.0,
        'α of Beta(α, α), the share of the image that is left beside a box of another example; labels are '
        'mixed likewise. 0 for none.',
        _ALPHA,
    )
    own: str = setting(
        '',
        "A view of a person's own, 'package.module:function': a JAX function of a random key and an image "
        '[H, W, C] that returns the image changed. It comes last, ahead of mixing. Names of artifacts hold '
        'the digest of its sources.',
    )
    own_version: str = setting(
        '',
        'Change it whenever the function gives other images for a reason outside its sources.',
        read=(lambda views: views.own, 'where own is given'),
    )


@dataclasses.dataclass(frozen=True)
class NamedViews(Views):
    """Views by a person's own function, and the digest of its sources."""

    own_sha256: str = ''


OwnViews = optional(
    Views,
    'OwnViews',
    'Augmentation of its own: what is left out is as in `config.views`.',
    without=('seed',),
)


def own_views(own: OwnViews, common: Views) -> Views:
    """The augmentation of a net trained on labels, which draws its views from the net's own seed."""
    return dataclasses.replace(filled(own, common), seed=0)
