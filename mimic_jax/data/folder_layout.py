"""How a person's folders of images are laid out: which are splits, which classes, and what is neither."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mimic_jax.errors import UserError
from mimic_jax.runtime import files

WORDS = {
    'train': ('train', 'training'),
    'validation': ('val', 'valid', 'validation', 'dev'),
    'test': ('test', 'testing'),
}
# `train2017`, `test_set` and `Training Images` are named after splits too.
_MORE = re.compile(r'[ _.-]*(set|data|dataset|images|split|folder)?[ _.-]*(\d{4})?')
FORM = 'a folder a class, in folders named train, validation and test or directly in the root'


class FolderLayout(NamedTuple):
    """splits: each split's folder, and its sorted files by class, in the order of the classes' names.

    Folder names and files are paths below the root.  unread: what else lies there, in words.
    """

    splits: Mapping[str, tuple[str, Mapping[str, Sequence[str]]]]
    unread: list[str]


def split_of(name: str) -> str | None:
    """The split that a folder is named after, in any letter case; None where it is no split's name."""
    for split, words in WORDS.items():
        for word in words:
            if name.lower().startswith(word) and _MORE.fullmatch(name.lower()[len(word) :]):
                return split
    return None


def find(root: Path) -> FolderLayout:
    """The layout below `root`, where hidden files and folders count as not there.

    Where a folder named after the training split holds folders, these are the classes, and the folders
    of validation and test splits stand beside it. Otherwise the folders of `root` are the classes.

    Raises:
      UserError: fewer than two classes, a class without a file or in another split than the training
        split alone, two folders for one split, splits that hold no folders.
    """
    inside = _folders(root)
    roles = _roles(root, inside)
    if 'train' in roles:
        places = {split: roles[split] for split in WORDS if split in roles}
        splits, unread = {}, _others(root, '', places.values())
        for split, place in places.items():
            splits[split] = (place, _classes(root, place, _folders(root / place), unread))
            unread += _others(root, place, splits[split][1])
    else:
        names = [name for name in inside if name not in roles.values()]
        unread = _others(root, '', inside)
        splits = {'train': ('', _classes(root, '', names, unread))}
        for split, place in roles.items():
            splits[split] = (place, _classes(root, place, _folders(root / place), unread))
            unread += _others(root, place, splits[split][1])
    _check(root, splits)
    return FolderLayout(splits, unread)


def _roles(root: Path, inside: Sequence[str]) -> dict[str, str]:
    """The folders of `root` that are splits, by split; {} where all of them are classes.

    Raises:
      UserError: two folders for one split; splits without a folder a class.
    """
    named: dict[str, list[str]] = {}
    for name in inside:
        if split_of(name):
            named.setdefault(split_of(name), []).append(name)
    holding = {
        split: [name for name in names if _folders(root / name)] for split, names in named.items()
    }
    holding = {split: names for split, names in holding.items() if names}
    if 'train' in holding:
        # A class may be called training; a split of that name stands alone or beside another.
        alone = len(inside) == 1 or len(holding) > 1
        if not (alone or len(named) > 1 or 'train' in holding['train']):
            return {}
    elif not _beside_classes(root, inside, holding):
        _refuse_splits(root, inside, named)
        return {}
    for split, names in holding.items():
        if len(names) > 1:
            raise UserError(
                f'{root} has {" and ".join(map(files.printable, names))}, all of them for the split '
                f'{split}; merge them or rename all but one'
            )
    return {split: name for split, (name,) in holding.items()}


def _beside_classes(root: Path, inside: Sequence[str], holding: Mapping) -> bool:
    """Whether held-out splits stand beside the training classes: root/cat, root/dog, root/test/cat."""
    held_out = [name for names in holding.values() for name in names]
    classes = {name for name in inside if name not in held_out}
    return bool(held_out) and all(set(_folders(root / name)) <= classes for name in held_out)


def _refuse_splits(root: Path, inside: Sequence[str], named: Mapping) -> None:
    """UserError where the would-be classes are splits: train and test alone, or seg_train and seg_test."""
    headed: dict[str, set] = {}
    for name in inside:
        head, tail = re.fullmatch(r'(?:(.*)[ _.-])?(.*)', name).groups()
        if head and split_of(tail):
            headed.setdefault(head, set()).add(split_of(tail))
    alone = len(inside) > 1 and len(named) == len(inside)
    if alone or any('train' in splits and len(splits) > 1 for splits in headed.values()):
        raise UserError(
            f'{root} holds {", ".join(map(files.printable, inside))}, which are splits and no '
            f'classes; images belong in {FORM}'
        )


def _check(root: Path, splits: Mapping) -> None:
    place, classes = splits['train']
    if len(classes) < 2:
        raise UserError(
            f'{root / place} holds {len(classes)} folders; images belong in a folder a class, of at '
            'least 2 classes'
        )
    for place, held_out in list(splits.values())[1:]:
        strangers = [name for name in held_out if name not in classes]
        if strangers:
            raise UserError(
                f'{root / place / strangers[0]} is a class that {root / splits["train"][0]} does not '
                'have; rename or remove it'
            )


def _classes(root: Path, place: str, names: Sequence[str], unread: list[str]) -> dict:
    found = {}
    for name in names:
        walked = files.walk(root / place / name)
        if not walked.files:
            raise UserError(
                f'{root / place / name} holds no image; add some to the class or remove it'
            )
        below = sorted(Path(place, name, file) for file in walked.files)
        found[name] = [path.as_posix() for path in below]
        unread += [f'{files.printable(Path(place, name))}/{each}' for each in walked.unread]
    return found


def _others(root: Path, place: str, known) -> list[str]:
    """What lies in a folder of the root beside the folders that are known, in words."""
    found = []
    for name in sorted(os.listdir(root / place)):
        path, shown = root / place / name, files.printable(Path(place, name))
        if name.startswith('.') or name in known:
            continue
        what = files.described(path, shown)
        if what.endswith('/'):
            count = len(files.walk(path).files)
            what += f' ({count:,} file{"s" * (count != 1)})'
        found.append(what)
    return found


def _folders(folder: Path) -> list[str]:
    """Names of the folders in a folder, and of links to folders elsewhere, sorted, hidden ones aside."""
    if not folder.is_dir():
        return []
    paths = [folder / name for name in sorted(os.listdir(folder)) if name[0] != '.']
    return [path.name for path in paths if path.is_dir() and not files.leads_back(path)]
