"""The plan of inputs: the checked views of nets and caches, and their part of a recipe."""

import dataclasses

from mimic_jax.config.fields import differing, filled
from mimic_jax.data import preprocess, views
from mimic_jax.data.dataset import Dataset
from mimic_jax.data.settings import Data
from mimic_jax.data.view_settings import OwnViews, own_views
from mimic_jax.data.view_settings import Views as ViewSettings
from mimic_jax.errors import UserError
from mimic_jax.mimic.settings import Student
from mimic_jax.models import masks


def of_net(own: OwnViews, common: ViewSettings, data: Dataset, where: str) -> ViewSettings:
    """The views of a net trained on labels: its own, or the config's where it sets none.

    common: config.views.  where: the place of `own` in the config.

    Raises:
      UserError: views that these data cannot have.
    """
    return checked(own_views(own, common), data, _place(own, where))


def of_cache(own: OwnViews, common: ViewSettings, data: Dataset, where: str) -> ViewSettings:
    """The views of a cache's examples; otherwise as `of_net`."""
    return checked(filled(own, common), data, _place(own, where))


def checked(settings: ViewSettings, data: Dataset, where: str) -> ViewSettings:
    """Views that these data can have, with the digest of a person's own view."""
    if not data.images and not views.is_identity(settings):
        on = (
            f'{where}.{field.name}={field.default}'
            for field in dataclasses.fields(ViewSettings)
            if not views.is_identity(ViewSettings(**{field.name: getattr(settings, field.name)}))
        )
        raise UserError(
            f'{where} augments images, but these examples are none; set {", ".join(on)}'
        )
    views.check(settings, data.input_shape, where)
    return views.named(settings, where)


def unseen(student: Student, data: Dataset, where: str) -> tuple[str, ...]:
    """The parts of an example that a student is not given.  where: the student's place in the config.

    Raises:
      UserError: parts that an example lacks, or preprocessing that mixes them into other inputs.
    """
    if student.unseen and data.preprocess in preprocess.BY_EXAMPLE:
        raise UserError(
            f'{where}.unseen needs each input preprocessed by itself, but config.data.preprocess is '
            f"{data.preprocess!r}; set it to 'scale', 'channel' or 'feature'"
        )
    masks.seen(student.unseen, data.input_shape, f'{where}.unseen')
    return student.unseen


def in_recipe(augmentation: ViewSettings, data: Dataset) -> dict:
    """The part of a recipe on inputs: views and preprocessing, where they are not the defaults."""
    drawn = {} if views.is_identity(augmentation) else differing(augmentation)
    return {
        **({'views': drawn} if drawn else {}),
        **({'preprocess': data.preprocess} if data.preprocess != Data.preprocess else {}),
    }


def versions(augmentation: ViewSettings, average: str = 'none') -> dict[str, int]:
    """The version of the arithmetic of views, where there are any.  average: a cache's `tta`."""
    plain = views.is_identity(augmentation) and average == 'none'
    return {} if plain else {'view': views.VERSION}


def _place(own: OwnViews, where: str) -> str:
    return 'config.views' if own == OwnViews() else where
