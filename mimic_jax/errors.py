"""Errors that a person who uses the package can cause and correct."""


class UserError(ValueError):
    """Bad input: the message is one line that says what is wrong, where, and what to do.

    `mimic_jax.main` prints it without a traceback and exits with status 2; so does a notebook's cell.
    """

    def _render_traceback_(self) -> list[str]:  # by this name IPython asks what to show
        return [f'error: {self}']


def first_line(error: BaseException) -> str:
    """An error's message in one line, for the message of another; its type where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


class NotFinite(UserError):
    """Training diverged: a loss or gradient was not finite. A search records it as a trial's outcome."""
