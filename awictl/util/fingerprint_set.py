"""A set of short fingerprints for deduplication: about eight bytes per text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

Text = TypeVar("Text", str, bytes)

#: Strings of fingerprints; looking something up takes longer as they grow, so they should stay short.
_BUCKETS = 4_096
_BUCKET_BITS = 12
_FINGERPRINT_BYTES = 6
_FINGERPRINT_MASK = (1 << 8 * _FINGERPRINT_BYTES) - 1


class FingerprintSet:
    """A grow-only set that stores a 60-bit fingerprint of each text instead of the text.

    SCAN may return a key twice, so an iteration over all keys has to deduplicate. A `set` of 200,000 session ids takes
    about 30 MB. The price is a small chance of a false duplicate: for a million different texts, less than one in
    100,000 iterations.
    """

    def __init__(self) -> None:
        self._buckets = [b""] * _BUCKETS

    def missing(self, texts: Iterable[Text]) -> list[Text]:
        """Those of the texts that are not in the set, in order."""
        return [one for one in texts if (place := _place(one))[1] not in self._buckets[place[0]]]

    def add_new(self, texts: Iterable[Text]) -> list[Text]:
        """Add texts; return those that were not in the set before, each once, in order."""
        buckets = self._buckets
        found = []
        for text in texts:
            number = hash(text)
            index = number & (_BUCKETS - 1)
            mark = (number >> _BUCKET_BITS & _FINGERPRINT_MASK).to_bytes(_FINGERPRINT_BYTES, "little")
            bucket = buckets[index]
            # a match across the border of two fingerprints is a false duplicate, as unlikely as any other
            if mark not in bucket:
                buckets[index] = bucket + mark
                found.append(text)
        return found


def _place(text: str | bytes) -> tuple[int, bytes]:
    """The bucket of a text, and its fingerprint."""
    number = hash(text)
    return number & (_BUCKETS - 1), (number >> _BUCKET_BITS & _FINGERPRINT_MASK).to_bytes(_FINGERPRINT_BYTES, "little")
