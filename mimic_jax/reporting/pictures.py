"""A report's pictures on disk and in its page."""

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


def svg(figure, salt: str) -> str:
    """A figure as SVG whose letters are text.  salt: makes the names inside it the picture's own."""
    import matplotlib

    content = io.StringIO()
    with matplotlib.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': salt}):
        figure.savefig(content, format='svg', metadata={'Date': None, 'Creator': None})
    return content.getvalue()
