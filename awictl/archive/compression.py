"""Compress what an archive stores, and verify it by its SHA-256 when it is read."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

from ..errors import InvalidData

#: zlib's fastest level: session documents are small, and shrink to a fifth even so.
_LEVEL = 1


def digest_of(raw: bytes) -> str:
    """Return the SHA-256 of `raw` in hex."""
    return hashlib.sha256(raw).hexdigest()


def compress(raw: bytes) -> bytes:
    """Return `raw` in zlib format."""
    return zlib.compress(raw, _LEVEL)


def decompress(packed: Any, digest: Any, where: str) -> bytes:
    """Return the bytes that were compressed.

    `where` names the stored value in errors. Raises InvalidData if the SHA-256 of the result is not `digest`.
    """
    try:
        raw = zlib.decompress(packed)
    except (zlib.error, TypeError):
        raw = None
    if raw is None or digest_of(raw) != digest:
        raise InvalidData(f"{where}: damaged: the stored bytes do not match their SHA-256 digest")
    return raw
