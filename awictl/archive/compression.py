"""Bytes as an archive keeps them: compressed where that helps, and actions in chunks of a bearable size."""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from ..document.json_codec import dumps, loads
from ..errors import InvalidData
from .trajectory import Chunk

log = logging.getLogger("awictl")

#: Fast: session documents are small, and shrink to a fifth even so.
_LEVEL = 1
#: Bytes of actions, before compression, that one chunk holds at the most (one larger action is alone).
CHUNK_BYTES = 8_388_608


def pack(raw: bytes) -> bytes:
    """Compressed bytes."""
    return zlib.compress(raw, _LEVEL)


def unpack(packed: Any, digest: Any, where: str) -> bytes:
    """The bytes that were packed. Raises InvalidData where their SHA-256 is not `digest`."""
    try:
        raw = zlib.decompress(packed)
    except (zlib.error, TypeError):
        raw = None
    if raw is None or hashlib.sha256(raw).hexdigest() != digest:
        raise InvalidData(f"{where}: damaged: it is not what was archived")
    return raw


def chunks_of(chunk: Chunk) -> Iterator[tuple[Chunk, bytes, str]]:
    """A chunk in pieces of a bearable size, each with its bytes (JSON, one action a line) and their SHA-256."""
    first = chunk.first
    lines: list[bytes] = []
    actions: list[Any] = []
    size = 0
    for action in chunk.actions:
        line = dumps(action)
        if lines and size + len(line) > CHUNK_BYTES:
            yield _piece(first, actions, lines)
            first, lines, actions, size = first + len(actions), [], [], 0
        lines.append(line)
        actions.append(action)
        size += len(line)
    if lines:
        yield _piece(first, actions, lines)


def intact_chunks(stored: Iterable[tuple[Any, Any, Any, str]]) -> list[Chunk]:
    """Chunks from what an archive holds of each: `first`, its packed bytes, their digest, and where it is.

    A damaged one is left out with a warning: what else there is of the session counts for more.
    """
    chunks = []
    for first, packed, digest, where in stored:
        try:
            chunks.append(Chunk(int(first), [loads(line) for line in unpack(packed, digest, where).split(b"\n")]))
        except (InvalidData, TypeError, ValueError) as error:
            log.warning("%s", error)
    return chunks


def _piece(first: int, actions: list[Any], lines: list[bytes]) -> tuple[Chunk, bytes, str]:
    raw = b"\n".join(lines)
    return Chunk(first, actions), raw, hashlib.sha256(raw).hexdigest()
