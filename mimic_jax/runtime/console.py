"""The terminal that a command is typed at."""

import io
import shutil
import sys

LEAST = 40  # columns, below which lines are left to the terminal


def width() -> int | None:
    """The columns of the terminal that stdout is; None where stdout is a file or another program."""
    return max(LEAST, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None


def accept_any_text() -> None:
    """Lets stdout print what the terminal has no signs for, such as the name of a class, as escapes."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors='backslashreplace')
