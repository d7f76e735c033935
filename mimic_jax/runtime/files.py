"""A person's files, where a path may name one of them or a folder of many."""

from pathlib import Path

from mimic_jax.errors import UserError


def below(path: Path) -> dict[str, Path]:
    """A file, or all below a folder but hidden ones, by name in the names' order.

    A name is the file's own, or where it lies below the folder.

    Raises:
      UserError: nothing there.
    """
    if path.is_file():
        return {path.name: path}
    if not path.is_dir():
        raise UserError(f'{path} is neither a file nor a folder; give one that is there')
    found = {file.relative_to(path): file for file in path.rglob('*') if file.is_file()}
    names = {
        name.as_posix(): file
        for name, file in found.items()
        if not any(part.startswith('.') for part in name.parts)
    }
    if not names:
        raise UserError(f'{path} holds no files; give a folder that does')
    return dict(sorted(names.items()))
