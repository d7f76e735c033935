"""Digests of what an artifact holds while it is being made.

The manifest answers for a finished artifact's files. Until it is written, `digests.json` does: an
entry is written ahead of what it is of, and compared when that is read back by a later sitting.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from mimic_jax.artifacts import store

FILE = 'digests.json'


def write(folder: Path, entries: Mapping[str, str]) -> None:
    """Writes the entries by name, in the place of all that were there."""
    text = json.dumps(entries, indent=1, sort_keys=True)
    store.write_atomically(folder / FILE, text)


def read(folder: Path) -> dict[str, str]:
    """The entries by name; none where the file is missing, as in older artifacts, or damaged."""
    try:
        entries = json.loads((folder / FILE).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}
