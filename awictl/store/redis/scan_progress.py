"""Recognizes a SCAN that never ends: a hostile or broken server repeats cursors, or always returns another one."""

from __future__ import annotations

from ...errors import InvalidData

#: Buckets of a hash table that a scan may visit, and names that it may return, whatever the number of keys: after most
#: keys were deleted, the table stays large for a while.
_FREE_BUCKETS = 20_000_000
_FREE_NAMES = 100_000
#: Factor by which a scan may visit more buckets, and return more names, than there are keys.
_FACTOR = 20


class ScanProgress:
    """The progress of one SCAN. Keeps one cursor, whatever the number of steps."""

    def __init__(self, where: str, count: int) -> None:
        """`where`: the server's address for messages. `count`: COUNT of the steps, in buckets."""
        self._where = where
        self._count = count
        self._steps = self._names = 0
        self._cursor = b""
        self._keep_at = 1
        self._size = 0

    def step(self, cursor: bytes, names: int) -> bool:
        """Record a step with the cursor that it returned. Returns whether the number of keys has to be set.

        Raises InvalidData if the cursor was returned before. The cursors of a scan never repeat, even if the table is
        resized meanwhile. The cursor kept for comparison is replaced at each power of two (Brent's cycle detection).
        """
        self._steps += 1
        self._names += names
        if cursor == self._cursor:
            raise self._endless()
        if self._steps == self._keep_at:
            self._cursor = cursor
            self._keep_at *= 2
        return self._exceeds(self._size)

    def set_size(self, keys: int) -> None:
        """Set the number of keys. Raises InvalidData if the scan has made more steps than they explain."""
        self._size = keys
        if self._exceeds(keys):
            raise self._endless()

    def _exceeds(self, keys: int) -> bool:
        more = keys * _FACTOR
        return self._steps * self._count > _FREE_BUCKETS + more or self._names > _FREE_NAMES + more

    def _endless(self) -> InvalidData:
        return InvalidData(
            f"{self._where} does not behave like a Redis server: its SCAN does not end; stopped after {self._steps:,} "
            f"steps and {self._names:,} keys"
        )
