"""Chunks of actions that were trimmed from a session in Redis, as an archive stores them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..document.json_codec import dumps, loads
from ..errors import InvalidData
from .compression import decompress, digest_of

log = logging.getLogger("awictl")

#: Maximum size of the actions in one stored chunk, in bytes before compression; a single larger action is stored alone.
CHUNK_BYTES = 8_388_608
#: Maximum ordinal of an action.
MAX_ORDINAL = 2**53


@dataclass(frozen=True)
class Chunk:
    """Consecutive actions that were trimmed from a session, oldest first."""

    #: Ordinal of the first one: the number of actions that were trimmed before it.
    first: int
    actions: Sequence[Any]


class EncodedChunk(NamedTuple):
    """A chunk that is small enough to be stored in one piece."""

    chunk: Chunk
    #: JSON, one action per line.
    raw: bytes
    #: SHA-256 of `raw`, in hex.
    digest: str


def encode_chunk(chunk: Chunk) -> Iterator[EncodedChunk]:
    """Encode a chunk, split into pieces of at most `CHUNK_BYTES`."""
    first = chunk.first
    lines: list[bytes] = []
    actions: list[Any] = []
    size = 0
    for action in chunk.actions:
        line = dumps(action)
        if lines and size + len(line) > CHUNK_BYTES:
            yield _encoded(first, actions, lines)
            first, lines, actions, size = first + len(actions), [], [], 0
        lines.append(line)
        actions.append(action)
        size += len(line)
    if lines:
        yield _encoded(first, actions, lines)


def decode_chunks(stored: Iterable[tuple[Any, Any, Any, str]]) -> list[Chunk]:
    """Decode stored chunks, each given as its `first`, compressed bytes, digest, and location for messages.

    A damaged chunk is skipped with a warning, so that the rest of the session can still be read.
    """
    chunks = []
    for first, packed, digest, where in stored:
        try:
            lines = decompress(packed, digest, where).split(b"\n")
            if not isinstance(first, int) or isinstance(first, bool) or not 0 <= first <= MAX_ORDINAL:
                raise InvalidData(f"{where}: damaged: {first!r:.40} is not the position of an action")
            chunks.append(Chunk(int(first), [loads(line) for line in lines]))
        except InvalidData as error:
            log.warning("%s", error)
    return chunks


def _encoded(first: int, actions: list[Any], lines: list[bytes]) -> EncodedChunk:
    raw = b"\n".join(lines)
    return EncodedChunk(Chunk(first, actions), raw, digest_of(raw))
