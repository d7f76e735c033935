"""Digests of an artifact's files while it is being made.

The manifest holds the digests of a finished artifact's files. `digests.json` holds them until the
manifest is written: an entry is written before its file, and a later run compares the two.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from mimic_jax.runtime import files

FILE = 'digests.json'


def write(folder: Path, entries: Mapping[str, str]) -> None:
    """Writes the entries by name; they replace all earlier ones."""
    text = json.dumps(entries, indent=1, sort_keys=True)
    files.write_atomically(folder / FILE, text)


def read(folder: Path) -> dict[str, str]:
    """The entries by name; none where the file is missing, as in older artifacts, or damaged."""
    try:
        entries = json.loads((folder / FILE).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}
