"""Which texts came before, in little memory: some eight bytes for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

Text = TypeVar("Text", str, bytes)

#: Strings of fingerprints; looking something up takes longer as they grow, so they should stay short.
_BUCKETS = 4_096
_BUCKET_BITS = 12
_FINGERPRINT_BYTES = 6
_FINGERPRINT_MASK = (1 << 8 * _FINGERPRINT_BYTES) - 1


class Seen:
    """A set of texts that can only grow, and keeps a fingerprint of 60 bits in the place of each.

    SCAN may return a key twice, so a walk through all keys has to know those it met. Python's own set of 200,000
    session ids takes some 30 MB. Here any two of a million different texts are taken for the same less often than once
    in 100,000 such walks.
    """

    def __init__(self) -> None:
        self._buckets = [b""] * _BUCKETS

    def fresh(self, texts: Iterable[Text]) -> list[Text]:
        """Those of these texts that did not come before, each once; now they did."""
        buckets = self._buckets
        found = []
        for text in texts:
            number = hash(text)
            index = number & (_BUCKETS - 1)
            mark = (number >> _BUCKET_BITS & _FINGERPRINT_MASK).to_bytes(_FINGERPRINT_BYTES, "little")
            bucket = buckets[index]
            # a match that straddles two fingerprints is none, but as unlikely as any other false one
            if mark not in bucket:
                buckets[index] = bucket + mark
                found.append(text)
        return found
