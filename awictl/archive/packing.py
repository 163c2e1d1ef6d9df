"""Bytes as an archive keeps them: compressed where that helps, and actions in chunks of a bearable size."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import InvalidData
from ..state.codec import dumps, loads
from .trajectory import Chunk

#: Fast: session documents are small, and shrink to a fifth even so.
_LEVEL = 1
#: Bytes of actions, before compression, that one chunk holds at the most (one larger action is alone).
CHUNK_BYTES = 8_388_608


def pack(raw: bytes) -> bytes:
    """Compressed bytes."""
    return zlib.compress(raw, _LEVEL)


def unpack(packed: bytes, digest: str, where: str) -> bytes:
    """The bytes that were packed. Raises InvalidData where their SHA-256 is not `digest`."""
    try:
        raw = zlib.decompress(packed)
    except zlib.error:
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


def actions_of(raw: bytes) -> Sequence[Any]:
    """The actions in the bytes of a chunk."""
    return [loads(line) for line in raw.split(b"\n")]


def _piece(first: int, actions: list[Any], lines: list[bytes]) -> tuple[Chunk, bytes, str]:
    raw = b"\n".join(lines)
    return Chunk(first, actions), raw, hashlib.sha256(raw).hexdigest()
