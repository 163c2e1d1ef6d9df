"""Dicts of bounded size; they evict the least recently written entry."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedDict(OrderedDict[K, V]):
    """A dict of at most `limit` entries: writing one more evicts the least recently written entry."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._limit:
            self.popitem(last=False)


class BoundedByteDict(BoundedDict[K, V]):
    """A dict of at most `limit` entries and `max_bytes` bytes; evicts the least recently written entries.

    `size_of`: the size of an entry in bytes. An entry larger than `max_bytes` is not kept.
    """

    def __init__(self, limit: int, max_bytes: int, size_of: Callable[[K, V], int]) -> None:
        super().__init__(limit)
        self._max_bytes = max_bytes
        self._size_of = size_of
        self._sizes: dict[K, int] = {}
        #: Size of all entries, in bytes.
        self.bytes = 0

    def __setitem__(self, key: K, value: V) -> None:
        size = self._size_of(key, value)
        if size > self._max_bytes:  # the others stay
            self.pop(key, None)
            return
        self._forget_size(key)
        self._sizes[key] = size
        self.bytes += size
        super().__setitem__(key, value)
        while self.bytes > self._max_bytes:
            self.popitem(last=False)

    def __delitem__(self, key: K) -> None:
        super().__delitem__(key)
        self._forget_size(key)

    def pop(self, key: K, *default: Any) -> Any:
        """Remove an entry and return its value; `default`, or KeyError, if there is none."""
        value = super().pop(key, *default)
        self._forget_size(key)
        return value

    def popitem(self, last: bool = True) -> tuple[K, V]:
        """Remove the most recently written entry, or the least recently written one, and return it."""
        key, value = super().popitem(last)
        self._forget_size(key)
        return key, value

    def clear(self) -> None:
        """Remove all entries."""
        super().clear()
        self._sizes.clear()
        self.bytes = 0

    def _forget_size(self, key: K) -> None:
        self.bytes -= self._sizes.pop(key, 0)
