"""Cached images and their embeddings: MEDIA:IMG:<id> and MEDIA:EMBED:<key>, and which images are alike."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from ..document import keys
from ..document.json_codec import dumps
from ..errors import AwiError, InvalidData, InvalidInput, NotFound, UpdateConflict
from ..settings import Settings
from ..store.redis.strings import Strings
from ..util.prefetch import prefetch
from . import embeddings
from .images import FIELDS, Deletion, Embedding, Image, Match, MediaStats, Similar, checked_url, embedding_key_of
from .stored import Held, StoredMedia, in_parts

if TYPE_CHECKING:
    from .embeddings import Vector


#: How often an image is read and merged into, before somebody else's writes win.
PUT_TRIES = 20


class MediaCache:
    """The cached images and their embeddings. Raises the errors of `awictl.errors`."""

    def __init__(self, strings: Strings, settings: Settings) -> None:
        self._strings = strings
        self._stored = StoredMedia(strings)
        self._settings = settings
        #: For messages: where they are kept.
        self.where = strings.where

    # -- reading

    async def find(self, image_id: str) -> Image | None:
        """An image; None where it is not cached. Raises InvalidData. At most two round trips."""
        if not keys.is_media_id(image_id):
            return None
        held = await self._stored.held(keys.image_key(image_id))
        if held is None:
            return None
        image = Image.of(image_id, self._stored.decoded(image_id, held), held.ttl_ms)
        return (await self._stored.with_embeddings([image]))[0]

    async def get(self, image_id: str) -> Image:
        """Like `find`; raises NotFound where there is none."""
        image = await self.find(keys.check_media_id(image_id))
        if image is None:
            raise NotFound(f"there is no image {image_id} at {self.where}: it expired, was evicted, or never was")
        return image

    async def list(
        self, *, rate: float | None = None, totals: MediaStats | None = None
    ) -> AsyncGenerator[Sequence[Image], None]:
        """All images in batches, as they are found; one that cannot be read has an `error`.

        `rate`: keys that the server visits in a second at the most. `totals`: counts along, and is right in the end.
        """
        async with aclosing(self._counted(rate, totals if totals is not None else MediaStats())) as batches:
            async for images in batches:
                yield await self._stored.with_embeddings(images)

    async def stats(self, *, rate: float | None = None) -> MediaStats:
        """How many images and embeddings there are, and how many bytes the embeddings take."""
        totals = MediaStats()
        async with aclosing(self._counted(rate, totals)) as batches:
            async for _ in batches:
                pass
        return totals

    async def similar(self, query: str | Iterable[float], *, top: int = 10, rate: float | None = None) -> Similar:
        """The images whose embeddings are most similar to that of an image, by its id, or to a vector: exact cosine.

        The best come first, of equal ones that with the lesser id; the image that is asked about is left out. Raises
        NotFound where it, or its embedding, is not there; Refused without numpy.
        """
        if top < 1:
            raise InvalidInput("at least one similar image has to be asked for")
        embeddings.require_numpy("to compare embeddings")
        own = query if isinstance(query, str) else None
        vector = await self._embedding_of(query) if isinstance(query, str) else embeddings.vector_of(query)
        comparison = embeddings.Comparison(vector)
        images_of: dict[str, list[str]] = {}
        lost = 0
        async with aclosing(prefetch(self._stored.contents(rate))) as batches:
            async for images, found in batches:
                for image in images:
                    if image.embedding_key is not None:
                        images_of.setdefault(image.embedding_key, []).append(image.id)
                comparison.add({key: held.raw for key, held in found.items() if isinstance(held, Held)})
                lost += sum(isinstance(held, AwiError) for held in found.values())
        matches = [
            Match(image_id, key, score)
            for key, score in comparison.scores.items()
            for image_id in images_of.get(key, [None])
            if own is None or image_id != own
        ]
        matches.sort(key=lambda one: (-one.score, one.id is None, one.id or "", one.embedding_key))
        skipped = (comparison.other_dimensions, comparison.unreadable + lost, comparison.zero)
        return Similar(matches[:top], len(comparison.scores), *skipped)

    async def deletions(self, image_ids: Sequence[str], *, rate: float | None = None) -> Sequence[Deletion]:
        """What `delete` would take away, for those of these images that are there."""
        wanted = [keys.check_media_id(one) for one in dict.fromkeys(image_ids)]
        there = {image.id: image for part in in_parts(wanted) for image in await self._stored.images(part)}
        users: dict[str, list[str]] = {one.embedding_key: [] for one in there.values() if one.embedding_key}
        if users:
            async with aclosing(self._stored.walk(rate)) as batches:
                async for images, _ in batches:
                    for image in images:
                        if image.embedding_key in users and image.id not in there:
                            users[image.embedding_key].append(image.id)
        present = await self._stored.lengths([*users])
        return [
            Deletion(one.id, key, key in present and not users[key], sorted(users[key]) if key else [])
            for one in there.values()
            for key in [one.embedding_key]
        ]

    # -- writing

    async def put(
        self,
        image_id: str,
        *,
        thumbnail_url: str | None = None,
        full_url: str | None = None,
        embedding: Iterable[float] | None = None,
        embedding_key: str | None = None,
    ) -> Image:
        """Cache an image, and its embedding, for MEDIA_CACHE_TTL_MINUTES. One round trip reads, one writes.

        Where somebody else writes the same image meanwhile, theirs is read again and merged into. Raises UpdateConflict
        where that happens again and again.

        What is there already is merged into: what is not given, and unknown fields, stay. A new image needs both URLs.
        The embedding is called what is given, else as the image says already, else as the image itself. One that is
        there and not given stays as it is, and expires together with the image.
        """
        self._settings.check_writable()
        place = keys.image_key(image_id)
        vector = embeddings.vector_of(embedding) if embedding is not None else None
        urls = {"thumbnail_url": thumbnail_url, "full_url": full_url}
        given = {name: checked_url(url, name.removesuffix("_url")) for name, url in urls.items() if url is not None}
        if embedding_key is not None:
            given["embedding_key"] = keys.check_media_id(embedding_key)
        ttl_ms = self._settings.media_cache_ttl_ms
        for _ in range(PUT_TRIES):
            held = await self._stored.held(place)
            if held is None and None in urls.values():
                raise InvalidInput(
                    f"image {image_id} is not cached yet: it needs the URLs of both its thumbnail and itself"
                )
            before = self._stored.decoded(image_id, held) if held is not None else dict.fromkeys(FIELDS)
            image = before | given
            key = embedding_key_of(image)
            strings: dict[str, bytes] = {}
            stays: list[str] = []
            embedded: Embedding | None = None
            if vector is not None:
                image["embedding_key"] = key = key or image_id
                raw = strings[keys.embedding_key(key)] = embeddings.encode(vector)
                embedded = Embedding(len(raw), ttl_ms, len(vector))
            elif key is not None:
                stays = [keys.embedding_key(key)]
            strings[place] = dumps(image)  # not held to the rules for input: most of it may be the app's
            if await self._strings.replace((place, held.raw if held is not None else None), strings, ttl_ms, stays):
                stored = Image.of(image_id, image, ttl_ms)
                if embedded is not None:
                    return replace(stored, embedding=embedded)
                return (await self._stored.with_embeddings([stored]))[0]
        raise UpdateConflict(f"{self._stored.place(place)} changed again and again while it was written: nothing was")

    async def delete(self, image_ids: Sequence[str], *, rate: float | None = None) -> Sequence[Deletion]:
        """Delete images, each with its embedding unless another image refers to it. Returns those that were there."""
        self._settings.check_writable()
        planned = await self.deletions(image_ids, rate=rate)
        names = [keys.image_key(one.id) for one in planned]
        shared = {one.embedding_key for one in planned if one.with_embedding and one.embedding_key}
        if planned:
            await self._strings.delete([*names, *map(keys.embedding_key, shared)])
        return planned

    # -- parts of the above

    async def _counted(self, rate: float | None, totals: MediaStats) -> AsyncGenerator[Sequence[Image], None]:
        """All images in batches; counts them and the embeddings on the way."""
        referred: set[str | None] = set()
        present: set[str] = set()
        async with aclosing(self._stored.walk(rate)) as batches:
            async for images, embedding_keys in batches:
                lengths = await self._stored.lengths(embedding_keys)
                totals.images += len(images)
                totals.unreadable += sum(one.error is not None for one in images)
                totals.embeddings += len(lengths)
                totals.embedding_bytes += sum(lengths.values())
                referred.update(one.embedding_key for one in images)
                present.update(lengths)
                yield images
        totals.orphans = len(present - referred)

    async def _embedding_of(self, image_id: str) -> Vector[float]:
        """The embedding of an image. Raises NotFound, InvalidData."""
        key = (await self.get(image_id)).embedding_key
        if key is None:
            raise NotFound(
                f"image {image_id} has no embedding: `awictl media put {image_id} --embedding FILE` adds one"
            )
        place = keys.embedding_key(key)
        held = await self._stored.held(place)
        if held is None:
            raise NotFound(
                f"the embedding of image {image_id} is gone: there is nothing at {self._stored.place(place)}"
            )
        try:
            return embeddings.decode(held.raw)
        except InvalidData as error:
            raise InvalidData(f"{self._stored.place(place)}: {error}") from None
