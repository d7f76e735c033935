"""Writes the views of a logit cache as arrays, for a teacher that lives elsewhere to answer."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mimic_jax.data import batches, folder_layout, mapped, mixing
from mimic_jax.data.dataset import EVALUATED
from mimic_jax.data.settings import Data
from mimic_jax.data.view_settings import Views
from mimic_jax.errors import UserError
from mimic_jax.mimic import cache_plan, external_teacher, external_views
from mimic_jax.mimic.settings import ExternalTeacher, Logits
from mimic_jax.runtime import files, hosts, interrupt
from mimic_jax.training.session import Session

_WORK = '.views.json'  # what a folder is being filled with; gone once it is full


def check(caches: Mapping[str, Logits], output: str) -> None:
    """UserError, before any work, where there is nothing to write or no place for it."""
    if hosts.count() > 1:
        raise UserError('--phase=views is for one process; leave --distributed out')
    if not output:
        raise UserError('--phase=views needs --output=FOLDER, where the views go')
    if files.expand(output).is_file():
        raise UserError(f'--output={output} is a file; give a folder for the views')
    if not caches:
        raise UserError(
            '--phase=views writes the views of a logit cache, and config.logits has none'
        )


def run(
    session: Session, caches: Mapping[str, Logits], common: Views, source: Data, output: str
) -> list[Path]:
    """Writes the views of every cache that files of logits answer, or of all where there is none.

    common: the views of caches that set none of their own.
    source: where the data come from; for a folder of images the files' names are written too.
    One cache's views go to the folder `output`; those of several to a folder of each cache's name
    below it. Views that are there already stay, so that a run that was killed can go on.

    Raises:
      UserError: a folder with other views, or a disk without room for these.
    """
    answered = [name for name, cache in caches.items() if cache.source.kind == 'logits']
    file_names = _file_names(source, len(session.data.labels))
    names, root = answered or list(caches), files.expand(output)
    folders = []
    for name in names:
        folder = root if len(names) == 1 else root / name
        augmentation = cache_plan.views_of(name, caches[name], common, session.data)
        with files.placing(folder):
            _write(session, name, caches[name], augmentation, folder, file_names)
        folders.append(folder)
    return folders


def _file_names(source: Data, total: int) -> list[str]:
    """Each example's image by its name below the root, '' where it comes from elsewhere; or none."""
    if source.name != 'folder':
        return []
    splits = folder_layout.find(files.expand(source.root)).splits
    train, test, validation = (
        [files.printable(name) for found in splits[split][1].values() for name in found]
        if split in splits
        else []
        for split in ('train', 'test', 'validation')
    )  # as `prepare` keeps them, unlabelled examples behind those of the training split
    between = total - len(train) - len(test) - len(validation)
    return [*train, *[''] * between, *test, *validation]


def _write(
    session: Session,
    name: str,
    cache: Logits,
    augmentation: Views,
    folder: Path,
    file_names: list[str],
) -> None:
    data, examples = session.data, cache_plan.transfer_set(name, cache, session.data)
    identity = external_views.identity(examples, cache.views, augmentation, data)
    form = _form(session, cache, augmentation, examples)
    splits = {split: data.splits[split] for split in EVALUATED}
    rows = cache.views * len(examples) + sum(map(len, splits.values()))
    if not _begun(folder, identity, form, rows):
        return
    np.save(folder / external_views.EXAMPLES, np.asarray(examples, np.int32))
    np.save(folder / external_views.LABELS, data.own_labels(examples))
    if file_names:
        told = {'views': examples, **splits}
        told = {key: [file_names[index] for index in indices] for key, indices in told.items()}
        files.write_atomically(folder / external_views.NAMES, json.dumps(told, indent=0))
    for split, indices in splits.items():
        _write_array(session, cache.source, indices, folder / f'{split}.npy')
    paths = [folder / external_views.view_file(view) for view in range(cache.views)]
    for view, path in enumerate(paths):
        _write_array(session, cache.source, examples, path, view, augmentation)
        session.progress.count(f'writing views of {name}', view + 1, cache.views)
    arrays = [np.load(path, mmap_mode='r', allow_pickle=False) for path in paths]
    answers = [external_views.answer_file(of) for of in (*range(cache.views), *splits)]
    facts = {
        **form,
        'smallest': float(min(array.min() for array in arrays)),
        'largest': float(max(array.max() for array in arrays)),
        'files': [*(path.name for path in paths), *(f'{split}.npy' for split in splits)],
        'answers': answers,
        'file_names': external_views.NAMES if file_names else None,
    }
    external_views.write(folder, identity, facts)
    (folder / _WORK).unlink(missing_ok=True)


def _form(session: Session, cache: Logits, augmentation: Views, examples: np.ndarray) -> dict:
    """The form of the arrays: raw or preprocessed inputs, their shape, type and order of axes."""
    seed, ids = augmentation.seed, batches.in_order(examples[:1], 1)
    (one,) = mixing.with_partners(ids, augmentation, seed, 0, examples)
    inputs = external_teacher.inputs(session, cache.source, one, 0, augmentation, seed)
    pixels = session.data.images and cache.source.inputs == 'raw'
    return {
        'inputs': cache.source.inputs,
        'preprocess': None if cache.source.inputs == 'raw' else session.data.preprocess,
        'layout': external_teacher.layout(cache.source, session.data.input_shape),
        'shape': list(inputs.shape[1:]),
        'dtype': inputs.dtype.name,
        'range': [0, 255] if pixels and session.data.inputs.dtype == np.uint8 else None,
    }


def _begun(folder: Path, identity: Mapping, form: Mapping, rows: int) -> bool:
    """Whether views are still to be written to a folder, which then is there and marked.

    Raises:
      UserError: other views in the folder, or too little room.
    """
    manifest, work = folder / external_views.MANIFEST, folder / _WORK
    text = json.dumps([identity, form], indent=1)
    if manifest.is_file():
        external_views.check_same(manifest, identity)
        found = external_views.read(manifest)
        for key, wanted in form.items():
            if found.get(key) != wanted:
                raise UserError(
                    f'{folder} holds these views with {key} {found.get(key)!r}, this run has '
                    f'{wanted!r}; give another --output'
                )
        return not all((folder / name).is_file() for name in found['files'])
    begun = work.is_file() and work.read_text() == text
    foreign = [] if begun else [path for path in folder.glob('*.npy') if _is_ours(path.name)]
    if foreign:
        raise UserError(
            f'--output={folder} holds {foreign[0].name}, which is not of these views; give another '
            'folder'
        )
    folder.mkdir(parents=True, exist_ok=True)
    needed = rows * int(np.prod(form['shape'])) * np.dtype(form['dtype']).itemsize
    needed -= sum(path.stat().st_size for path in folder.glob('*.npy') if begun)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f'--output={folder} has {free / 1e9:.1f} GB free, and the views take '
            f'{needed / 1e9:.1f} GB more; make room, or lower config.logits.NAME.views or limit'
        )
    files.write_atomically(work, text)
    return True


def _is_ours(name: str) -> bool:
    fixed = (external_views.EXAMPLES, external_views.LABELS)
    splits = [f'{split}.npy' for split in EVALUATED]
    return name in (*fixed, *splits) or name.startswith('view_')


def _write_array(
    session: Session,
    teacher: ExternalTeacher,
    examples: np.ndarray,
    path: Path,
    view: int = 0,
    augmentation: Views | None = None,
) -> None:
    """Writes a view of some examples, or the examples as they are; renamed into place once whole.

    What an earlier sitting wrote stays.
    """
    if path.is_file():
        return
    seed = augmentation.seed if augmentation else 0
    partial = path.with_suffix('.tmp')
    with partial.open('wb') as file:
        ids = session.placement.in_order(examples)
        for batch in mixing.with_partners(ids, augmentation, seed, view, examples):
            made = external_teacher.inputs(session, teacher, batch, view, augmentation, seed)
            if not file.tell():
                header = {
                    'descr': np.lib.format.dtype_to_descr(made.dtype),
                    'fortran_order': False,
                    'shape': (len(examples), *made.shape[1:]),
                }
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(made[batch['mask'] > 0]).data)
            interrupt.check()
    mapped.release(session.data.inputs)
    partial.replace(path)
