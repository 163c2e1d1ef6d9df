"""Chunks of actions that a session in Redis no longer has, as an archive stores them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, NamedTuple

from ..document.history.timeline import Step
from ..document.json_codec import dumps, loads
from ..errors import InvalidData
from .compression import MAX_BYTES, decompress, digest_of
from .values import as_short_text

log = logging.getLogger("awictl")

#: Maximum size of the actions in one stored chunk, in bytes before compression; a single larger action is stored alone.
CHUNK_BYTES = 8_388_608
#: Maximum ordinal of an action.
MAX_ORDINAL = 2**53
#: Maximum size of all chunks of a session that are read, in limits of a single one.
TOTAL_LIMITS = 4


@dataclass(frozen=True)
class Chunk:
    """Consecutive actions of a session that its newest snapshot lacks, oldest first."""

    #: Ordinal of the first one: its position in the session's whole trajectory, from 0.
    first: int
    actions: Sequence[Any]
    #: Whether another writer overwrote them, so that other actions have the same ordinals.
    overwritten: bool = False


def chunks_of(steps: Iterable[tuple[int, Step]]) -> list[Chunk]:
    """Return some actions of a trajectory in chunks. steps: with their places in it, in its order.

    The actions of a chunk are next to each other in the trajectory and have consecutive ordinals. So overwritten ones,
    which are in front of what took the place of the first of them, stay together.
    """
    numbered = ((number, place, step) for number, (place, step) in enumerate(steps))
    runs = groupby(numbered, lambda one: (one[1] - one[0], one[2].ordinal - one[0], one[2].overwritten))
    found = [[step for _, _, step in run] for _, run in runs]
    return [Chunk(run[0].ordinal, [step.action for step in run], run[0].overwritten) for run in found]


def agent_key(agent_id: Any) -> str:
    """Return an agent's id as chunks have it: ids that differ in case only are one agent; empty if it is no string."""
    return (as_short_text(agent_id) or "").lower()


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
            yield _encoded(chunk, first, actions, lines)
            first, lines, actions, size = first + len(actions), [], [], 0
        lines.append(line)
        actions.append(action)
        size += len(line)
    if lines:
        yield _encoded(chunk, first, actions, lines)


class ChunkDecoder:
    """Decodes stored chunks. A damaged one is skipped with a warning, so that the rest of the session can be read.

    limit: maximum number of bytes of one chunk; all together have at most `TOTAL_LIMITS` times as many.
    """

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit = limit
        self._left = limit * TOTAL_LIMITS
        self.chunks: list[Chunk] = []

    def add(self, first: Any, packed: Any, digest: Any, where: str, *, overwritten: bool = False) -> None:
        """Decode a chunk, given as its `first`, compressed bytes, digest, and location for messages."""
        try:
            raw = decompress(packed, digest, where, limit=min(self._limit, self._left))
            self._left -= len(raw)
            if not isinstance(first, int) or isinstance(first, bool) or not 0 <= first <= MAX_ORDINAL:
                raise InvalidData(f"{where}: damaged: {first!r:.40} is not the position of an action")
            self.chunks.append(Chunk(int(first), [loads(line) for line in raw.split(b"\n")], overwritten))
        except InvalidData as error:
            log.warning("%s", error)


def _encoded(whole: Chunk, first: int, actions: list[Any], lines: list[bytes]) -> EncodedChunk:
    raw = b"\n".join(lines)
    return EncodedChunk(replace(whole, first=first, actions=actions), raw, digest_of(raw))
