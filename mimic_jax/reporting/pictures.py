"""A report's pictures on disk."""

import io
from pathlib import Path

from mimic_jax.runtime import files


def save(figure, path: Path) -> None:
    """Writes a figure as PNG, atomically: readers find the old file or the new, even after a kill.

    Raises:
      OSError: as `files.write_atomically`.
    """
    content = io.BytesIO()
    figure.savefig(content, format='png', metadata={'Software': None})
    files.write_atomically(path, content.getvalue())
