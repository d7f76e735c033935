"""Metric sums between two records, read back late so that the device stays busy."""

from collections.abc import Callable

import jax

IN_FLIGHT = 2  # calls that the host sends off without waiting for their results


class Window:
    """Metric sums since the last record.

    A record is read back one window late, so that the host never waits for the step it has just sent
    off.  record: called with the window's last step and the sums of its calls.
    """

    def __init__(self, record: Callable[[int, list[dict]], None]):
        self._record = record
        self._sums, self._count, self._pending = [], 0, None

    def add(self, count: int, sums: dict) -> int:
        """Takes the sums of a call; returns the steps in the window so far.

        Waits for the call before the last. The device stays busy, and the host runs at most two
        calls ahead of it, which bounds the memory and the error of the estimated time left.
        """
        self._sums.append(sums)
        self._count += count
        if len(self._sums) > IN_FLIGHT:
            jax.block_until_ready(self._sums[-1 - IN_FLIGHT])
        return self._count

    def turn(self, step: int) -> None:
        """Closes the window that ends at `step` and records the one before it."""
        previous, self._pending = self._pending, (step, self._sums)
        self._sums, self._count = [], 0
        if previous:
            self._record(*previous)

    def flush(self, step: int) -> None:
        """Records everything up to `step`."""
        if self._count:
            self.turn(step)
        if self._pending:
            self._record(*self._pending)
            self._pending = None
