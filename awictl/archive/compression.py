"""Compress what an archive stores, and verify it by its SHA-256 when it is read."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

from ..errors import InvalidData

#: zlib's fastest level: session documents are small, and shrink to a fifth even so.
_LEVEL = 1
#: Maximum number of bytes to unpack, if no other limit is given.
MAX_BYTES = 67_108_864


def digest_of(raw: bytes) -> str:
    """Return the SHA-256 of `raw` in hex."""
    return hashlib.sha256(raw).hexdigest()


def compress(raw: bytes) -> bytes:
    """Return `raw` in zlib format."""
    return zlib.compress(raw, _LEVEL)


def decompress(packed: Any, digest: Any, where: str, *, size: Any = None, limit: int = MAX_BYTES) -> bytes:
    """Return the bytes that were compressed.

    `where` names the stored value in errors. No more than `size` bytes are unpacked, their recorded number, and no more
    than `limit`: a few bytes can unpack to gigabytes. Raises InvalidData if there are more, or if the SHA-256 of the
    result is not `digest`.
    """
    bound = size if type(size) is int and 0 <= size < limit else limit
    raw = None
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(packed, bound + 1)
    except (zlib.error, TypeError):
        pass
    if raw is not None and len(raw) > bound:
        remedy = " (AWI_MAX_DOCUMENT_BYTES limits them)" if bound == limit else ", their recorded number"
        raise InvalidData(f"{where}: damaged or too large: the stored bytes unpack to more than {bound:,}{remedy}")
    if raw is None or not unpacker.eof or digest_of(raw) != digest:
        raise InvalidData(f"{where}: damaged: the stored bytes do not match their SHA-256 digest")
    return raw
