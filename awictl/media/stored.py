"""What is stored of cached images and their embeddings, read in batches: one round trip each, where all are short."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ..document import keys
from ..document.json_codec import loads_at
from ..errors import AwiError, InvalidData
from ..store.redis.strings import Strings
from .embeddings import decode
from .images import Embedding, Image

if TYPE_CHECKING:
    from ..store.redis.keyspace import Peek

#: What the names of all keys of media begin with.
_PREFIX = "MEDIA:"
#: Images, or embeddings, that are asked for in one go, and the first bytes of each: most have no more.
_BATCH = 500
_FIRST_BYTES = 8_192


class Held(NamedTuple):
    """A string, and the milliseconds until it expires; None where it never does."""

    raw: bytes
    ttl_ms: int | None


class StoredMedia:
    """The images and embeddings of one server."""

    def __init__(self, strings: Strings) -> None:
        self._strings = strings
        #: For messages: where they are kept.
        self.where = strings.where

    async def walk(self, rate: float | None) -> AsyncGenerator[tuple[Sequence[Image], Sequence[str]], None]:
        """All images, and the keys of all embeddings, in batches."""
        image, embedding = (one.removeprefix(_PREFIX) for one in (keys.IMAGE_PREFIX, keys.EMBEDDING_PREFIX))
        async with aclosing(self._strings.scan(_PREFIX, rate)) as batches:
            async for names in batches:
                for part in in_parts(names):
                    ids = [one.removeprefix(image) for one in part if one.startswith(image)]
                    yield (
                        await self.images(ids),
                        [one.removeprefix(embedding) for one in part if one.startswith(embedding)],
                    )

    async def contents(
        self, rate: float | None
    ) -> AsyncGenerator[tuple[Sequence[Image], dict[str, Held | AwiError]], None]:
        """All images, and all embeddings by their keys, in batches."""
        async with aclosing(self.walk(rate)) as batches:
            async for images, embedding_keys in batches:
                yield images, await self._fetch(keys.EMBEDDING_PREFIX, embedding_keys)

    async def lengths(self, embedding_keys: Sequence[str]) -> dict[str, int]:
        """The bytes of those of these embeddings that are there."""
        peeks = await self._look(keys.EMBEDDING_PREFIX, embedding_keys, 0)
        return {key: peek.length for key, peek in zip(embedding_keys, peeks, strict=True) if peek is not None}

    async def images(self, image_ids: Sequence[str]) -> Sequence[Image]:
        """Those of these images that are there, without what is known of their embeddings."""
        found = []
        for image_id, held in (await self._fetch(keys.IMAGE_PREFIX, image_ids)).items():
            if isinstance(held, AwiError):
                found.append(Image.unreadable(image_id, str(held)))
                continue
            try:
                found.append(Image.of(image_id, self.decoded(image_id, held), held.ttl_ms))
            except InvalidData as error:
                found.append(Image.unreadable(image_id, str(error), held.ttl_ms))
        return found

    async def with_embeddings(self, images: Sequence[Image]) -> Sequence[Image]:
        """The same images with what is known of their embeddings."""
        wanted = list(dict.fromkeys(one.embedding_key for one in images if one.embedding_key is not None))
        found: dict[str | None, Embedding] = {}
        for key, held in (await self._fetch(keys.EMBEDDING_PREFIX, wanted)).items():
            if isinstance(held, AwiError):
                found[key] = Embedding(0, None, error=str(held))
                continue
            try:
                found[key] = Embedding(len(held.raw), held.ttl_ms, len(decode(held.raw)))
            except InvalidData as error:
                why = f"{self.place(keys.EMBEDDING_PREFIX + key)}: {error}"
                found[key] = Embedding(len(held.raw), held.ttl_ms, error=why)
        return [replace(one, embedding=found.get(one.embedding_key)) for one in images]

    def decoded(self, image_id: str, held: Held) -> dict[str, Any]:
        """The object that is stored for an image. Raises InvalidData, naming the key."""
        place = self.place(keys.IMAGE_PREFIX + image_id)
        if not keys.is_media_id(image_id):
            raise InvalidData(f"{place}: no id that awictl takes, of 1 to {keys.MAX_MEDIA_ID} printable characters")
        stored = loads_at(held.raw, place)
        if not isinstance(stored, dict):
            raise InvalidData(f"{place}: not a JSON object, as an image must be")
        return stored

    async def held(self, name: str) -> Held | None:
        """A string and its expiry; None where there is none. One round trip."""
        held = (await self._fetch("", [name])).get(name)
        if isinstance(held, AwiError):
            raise held
        return held

    async def _fetch(self, prefix: str, names: Sequence[str]) -> dict[str, Held | AwiError]:
        """Those of these strings that are there, or why one cannot be read. One round trip where all are short."""
        found: dict[str, Held | AwiError] = {}
        ttls: dict[str, int | None] = {}
        for name, peek in zip(names, await self._look(prefix, names, _FIRST_BYTES), strict=True):
            if peek is not None and peek.fault is None and peek.length == len(peek.start):
                found[name] = Held(peek.start, peek.ttl_ms)
            elif peek is not None:
                ttls[name] = peek.ttl_ms
        if ttls:
            longer = await self._strings.get_many([prefix + name for name in ttls])
            for name, ttl_ms in ttls.items():
                raw = longer.get(prefix + name)
                if raw is not None:
                    found[name] = raw if isinstance(raw, AwiError) else Held(raw, ttl_ms)
        return found

    async def _look(self, prefix: str, names: Sequence[str], size: int) -> Sequence[Peek | None]:
        return await self._strings.look([prefix + name for name in names], size) if names else []

    def place(self, name: str) -> str:
        """For messages: where the string of this name is."""
        return f"{self.where}, key {name}"


def in_parts(names: Sequence[str]) -> Iterable[Sequence[str]]:
    """The same names, so many at a time as are asked for in one go."""
    return (names[start : start + _BATCH] for start in range(0, len(names), _BATCH))
