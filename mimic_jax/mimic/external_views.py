"""Views as files, and the manifest that binds answers to them: written, read and compared here.

A folder of views holds

    view_000.npy …   [M, ...], a file a view: row i is the i-th transfer example
    validation.npy, test.npy   [n, ...]: the examples of these splits, as they are
    examples.npy     [M] int32: the examples' numbers in the source's own order
    labels.npy       [M] int32: their labels, -1 where there is none; or real values, NaN where there
                     is none
    file_names.json  of a folder of images the files' names, {views, validation, test}: lists
    views.json       what the views are of, written last

A teacher anywhere answers each `view_NNN.npy` by logits [M, K] in the same order, and the two splits
where it is to have a row in the report. Its answers are accepted beside `views.json`, or beside a copy
of it, by a run with the very same views.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mimic_jax.artifacts.recipes import canonical_json
from mimic_jax.config.fields import as_json, differing
from mimic_jax.data import draws, views
from mimic_jax.data.dataset import EVALUATED, Dataset
from mimic_jax.data.view_settings import Views
from mimic_jax.errors import UserError
from mimic_jax.mimic.settings import ExternalTeacher
from mimic_jax.runtime import files

FORMAT = 1
MANIFEST, EXAMPLES, LABELS = 'views.json', 'examples.npy', 'labels.npy'
NAMES = 'file_names.json'


def view_file(number: int) -> str:
    """The name of a view's file."""
    return f'view_{number:03}.npy'


def answer_file(of: int | str) -> str:
    """The name of the answers to a view, by its number, or to a split, by its name."""
    return f'answers_{of}.npy' if isinstance(of, str) else f'answers_{of:03}.npy'


def identity(examples: np.ndarray, count: int, augmentation: Views, data: Dataset) -> dict:
    """What determines the views: which examples in which order, how many views, drawn how.

    examples: [M], the transfer set.  count: of views.  Settings that change no view are left out.
    """
    settings = Views() if views.is_identity(augmentation) else augmentation
    return {
        'examples': len(examples),
        'order_sha256': hashlib.sha256(np.asarray(examples, '<i4').tobytes()).hexdigest(),
        'views': count,
        'view_function': {
            'version': views.VERSION,
            'prng': draws.PRNG,
            **as_json(Views()),
            **differing(settings),
        },
        'num_classes': data.num_classes,
        'class_names': list(data.class_names),
        'data': data.fingerprint,
    }


def write(folder: Path, views_identity: Mapping, facts: Mapping) -> None:
    """Writes the manifest of a folder whose views are there."""
    digest = hashlib.sha256(canonical_json(views_identity).encode()).hexdigest()
    found = {'format': FORMAT, 'id': digest[:12], 'of': views_identity, **facts}
    files.write_atomically(folder / MANIFEST, json.dumps(found, indent=1))


def read(path: Path) -> dict:
    """A manifest of views.

    Raises:
      UserError: a file that is none, or of a later format.
    """
    try:
        found = json.loads(path.read_text())
        of, number = found['of'], found['format']
        of['view_function'].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f'{path} is no manifest of views; copy the one that --phase=views wrote beside them'
        ) from None
    if number != FORMAT:
        raise UserError(f'{path} has format {number!r}, and this version reads {FORMAT}')
    return found


def check_same(path: Path, expected: Mapping) -> None:
    """Compares the manifest at `path` with a run's own `identity`.

    Raises:
      UserError: the first field that differs, by name.
    """
    found = _flat(read(path)['of'])
    # A setting that the manifest does not know was added later: it was at its default.
    known = {f'view_function.{key}': value for key, value in as_json(Views()).items()}
    for field, wanted in _flat(expected).items():
        value = found.pop(field, known.get(field))
        if value != wanted:
            _refuse(path, field, value, wanted)
    for field, value in found.items():  # of a later version
        _refuse(path, field, value, None)


def check_answers(path: tuple[str, ...], expected: Mapping, augmented: bool, where: str) -> None:
    """Whether files of logits may stand for answers to a run's views.

    Files beside a manifest must be of the same views. Files without a manifest are bound to no views:
    they may answer examples as they are, and not augmented ones.

    Raises:
      UserError: augmented views and no manifest beside a file; a manifest of other views.
    """
    for folder in dict.fromkeys(files.expand(each).parent for each in path):
        manifest = folder / MANIFEST
        if manifest.is_file():
            check_same(manifest, expected)
        elif augmented:
            raise UserError(
                f'{where} has files of logits in {folder}, where no {MANIFEST} says which views they '
                'answer, and config.views augments; write the views by --phase=views '
                '--output=FOLDER, let the teacher answer them, and put its answers beside '
                f'FOLDER/{MANIFEST}; or turn config.views off; or give the teacher as a function or '
                'an ONNX model'
            )


def from_folder(teacher: ExternalTeacher, count: int, where: str) -> ExternalTeacher:
    """The teacher with the names of its files, where its path is a folder of answers; else unchanged.

    A folder needs the answers to `count` views. It may have those to validation and test examples.

    Raises:
      UserError: a folder without a view's answers.
    """
    if len(teacher.path) != 1 or not files.expand(teacher.path[0]).is_dir():
        return teacher
    (folder,) = teacher.path

    def there(name: str) -> str:
        file = os.path.join(folder, name)
        return file if files.expand(file).is_file() else ''

    answers = tuple(there(answer_file(view)) for view in range(count))
    if '' in answers:
        raise UserError(
            f'{where} is the folder {folder!r}, which has no {answer_file(answers.index(""))}; it needs '
            f'the answers to {count} views, {answer_file(0)} to {answer_file(count - 1)}'
        )
    others = {split: getattr(teacher, split) or there(answer_file(split)) for split in EVALUATED}
    return dataclasses.replace(teacher, path=answers, **others)


def _flat(tree: Mapping, above: str = '') -> dict:
    """The values of nested dicts, by their keys joined with dots."""
    found = {}
    for key, value in tree.items():
        found |= (
            _flat(value, f'{above}{key}.') if isinstance(value, Mapping) else {above + key: value}
        )
    return found


def _refuse(path: Path, field: str, found, wanted) -> None:
    raise UserError(
        f'{path} is of other views: its {field} is {found!r}, this run has {wanted!r}; use the '
        'config that wrote the views, or write and answer them anew'
    )
