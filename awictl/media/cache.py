"""The cache of images and their embeddings: the keys MEDIA:IMG:<id> and MEDIA:EMBED:<key>."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, MutableSequence, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from ..document import keys
from ..document.json_codec import dumps
from ..errors import InvalidData, InvalidInput, NotFound, UpdateConflict
from ..settings import Settings
from ..store.strings import StringStore
from ..util.batched import batched
from ..util.prefetch import prefetch
from . import embeddings
from .images import FIELDS, Embedding, Image, ImageDeletion, MediaStats, check_url, embedding_key_of
from .reader import BATCH, MediaReader

if TYPE_CHECKING:
    from .embeddings import Vector
    from .similarity import SimilarImages


#: Maximum number of attempts to write an image while other clients change it.
PUT_ATTEMPTS = 20


class MediaCache:
    """Reads and writes cached images and embeddings. Every method also raises Unreachable and AccessDenied."""

    def __init__(self, strings: StringStore, settings: Settings) -> None:
        self._strings = strings
        self._reader = MediaReader(strings)
        self._settings = settings
        #: The server, without passwords, for messages.
        self.where = strings.where

    # -- reading

    async def find(self, image_id: str) -> Image | None:
        """Return an image with its embedding; None if it is not cached. Raises InvalidData. Two round trips."""
        if not keys.is_media_id(image_id):
            return None
        value = await self._reader.read(keys.image_key(image_id))
        if value is None:
            return None
        image = Image.of(image_id, self._reader.decode_image(image_id, value), value.ttl_ms)
        return (await self._reader.with_embeddings([image]))[0]

    async def get(self, image_id: str) -> Image:
        """Like `find`, but raise NotFound if the image is not cached, and InvalidInput if the ID is invalid."""
        image = await self.find(keys.check_media_id(image_id))
        if image is None:
            raise NotFound(
                f"there is no image {image_id} at {self.where}: it expired, was evicted, or was never cached"
            )
        return image

    async def list(
        self, *, rate: float | None = None, totals: MediaStats | None = None
    ) -> AsyncGenerator[Sequence[Image], None]:
        """Yield all images in batches; one that cannot be read has an `error`.

        `rate`: maximum number of keys to scan per second (None: not paced). `totals`: is updated with each batch, and
        is complete when the generator ends.
        """
        totals = totals if totals is not None else MediaStats()
        referenced: set[str | None] = set()
        present: set[str] = set()
        async with aclosing(self._reader.scan(rate)) as batches:
            async for images, embedding_keys in batches:
                sizes = await self._reader.embedding_sizes(embedding_keys)
                totals.images += len(images)
                totals.unreadable += sum(image.error is not None for image in images)
                totals.embeddings += len(sizes)
                totals.embedding_bytes += sum(sizes.values())
                referenced.update(image.embedding_key for image in images)
                present.update(sizes)
                yield await self._reader.with_embeddings(images)
        totals.orphans = len(present - referenced)

    async def similar(self, query: str | Iterable[float], *, top: int = 10, rate: float | None = None) -> SimilarImages:
        """Return the `top` images most similar to an image, given by its ID, or to a vector.

        The image itself is left out. `rate`: maximum number of keys to scan per second. Raises NotFound if the image or
        its embedding does not exist, InvalidData, InvalidInput, and Refused if numpy is not installed.
        """
        if top < 1:
            raise InvalidInput("the number of similar images must be at least 1")
        from .similarity import find_similar

        embeddings.require_numpy("to compare embeddings")
        exclude = query if isinstance(query, str) else None
        vector = await self._embedding_of(query) if isinstance(query, str) else embeddings.to_vector(query)
        async with aclosing(prefetch(self._reader.scan_with_embeddings(rate))) as batches:
            return await find_similar(batches, vector, top=top, exclude=exclude)

    async def plan_deletion(self, image_ids: Sequence[str], *, rate: float | None = None) -> Sequence[ImageDeletion]:
        """Return what `delete` would delete. Images that do not exist are left out."""
        wanted = [keys.check_media_id(image_id) for image_id in dict.fromkeys(image_ids)]
        return await self._plan(await self._existing(wanted), rate)

    async def _existing(self, image_ids: Sequence[str]) -> dict[str, Image]:
        return {image.id: image for batch in batched(image_ids, BATCH) for image in await self._reader.images(batch)}

    async def _plan(self, existing: Mapping[str, Image], rate: float | None) -> Sequence[ImageDeletion]:
        """Return what is deleted with these images. Scans for other users of their embeddings."""
        users: dict[str, list[str]] = {one.embedding_key: [] for one in existing.values() if one.embedding_key}
        if users:
            async with aclosing(self._reader.scan(rate)) as batches:
                async for images, _ in batches:
                    for image in images:
                        if image.embedding_key in users and image.id not in existing:
                            users[image.embedding_key].append(image.id)
        present = await self._reader.embedding_sizes([*users])
        return [
            ImageDeletion(image.id, key, key in present and not users[key], sorted(users[key]) if key else [])
            for image in existing.values()
            for key in [image.embedding_key]
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
        """Cache an image and its embedding with a TTL of MEDIA_CACHE_TTL_MINUTES. Two round trips.

        An existing image is updated: arguments that are None, and unknown fields, keep their stored values. A new image
        needs both URLs. The embedding key is `embedding_key`, else the stored one, else the image ID. An embedding that
        exists and is not given keeps its value and gets the TTL of the image.

        Compare-and-set with retries. Raises UpdateConflict if other clients changed the image at every attempt,
        InvalidData if the stored image is invalid, InvalidInput, ReadOnly.
        """
        self._settings.check_writable()
        name = keys.image_key(image_id)
        vector = embeddings.to_vector(embedding) if embedding is not None else None
        urls = {"thumbnail_url": thumbnail_url, "full_url": full_url}
        given = {field: check_url(url, field.removesuffix("_url")) for field, url in urls.items() if url is not None}
        if embedding_key is not None:
            given["embedding_key"] = keys.check_media_id(embedding_key)
        ttl_ms = self._settings.media_cache_ttl_ms
        for _ in range(PUT_ATTEMPTS):
            value = await self._reader.read(name)
            if value is None and None in urls.values():
                raise InvalidInput(
                    f"image {image_id} is not cached yet; a new image needs the URLs of its thumbnail and of itself"
                )
            stored = self._reader.decode_image(image_id, value) if value is not None else dict.fromkeys(FIELDS)
            image = stored | given
            key = embedding_key_of(image)
            strings: dict[str, bytes] = {}
            extended: list[str] = []
            written: Embedding | None = None
            if vector is not None:
                image["embedding_key"] = key = key or image_id
                raw = strings[keys.embedding_key(key)] = embeddings.encode(vector)
                written = Embedding(len(raw), ttl_ms, len(vector))
            elif key is not None:
                extended = [keys.embedding_key(key)]
            strings[name] = dumps(image)  # not checked as input: most of it may be the app's
            if await self._strings.compare_and_set(
                name, value.raw if value is not None else None, strings, ttl_ms, extended
            ):
                result = Image.of(image_id, image, ttl_ms)
                if written is not None:
                    return replace(result, embedding=written)
                return (await self._reader.with_embeddings([result]))[0]
        raise UpdateConflict(
            f"{self._reader.location(name)} was changed by other clients at each of {PUT_ATTEMPTS} attempts to write "
            "it; nothing was written"
        )

    async def delete(
        self, image_ids: Sequence[str], *, rate: float | None = None, changed: MutableSequence[str] | None = None
    ) -> Sequence[ImageDeletion]:
        """Delete images, each with its embedding unless another image uses it. Returns what was deleted.

        `rate`: maximum number of keys per second in the scan for other users. `changed`: receives the ids of images
        that another client wrote after they had been read: they are not deleted. An embedding is not deleted either if
        another client wrote it, or an image that uses it, in the meantime.

        Raises InvalidInput, ReadOnly; UpdateConflict if images were changed and `changed` is None.
        """
        self._settings.check_writable()
        wanted = [keys.check_media_id(image_id) for image_id in dict.fromkeys(image_ids)]
        # Versions are read before what they are to protect: an image, and the users of an embedding.
        versions = await self._strings.versions([keys.image_key(one) for one in wanted])
        existing = await self._existing(wanted)
        used = {keys.embedding_key(one.embedding_key) for one in existing.values() if one.embedding_key}
        versions |= await self._strings.versions(sorted(used))
        planned = await self._plan(existing, rate)

        gone = await self._strings.delete_unchanged({name: versions[name] for name in map(_image_key, planned)})
        still_used = {one.embedding_key for one in planned if not gone[_image_key(one)]}
        unused = {_embedding_key(one) for one in planned if one.with_embedding and one.embedding_key not in still_used}
        gone |= await self._strings.delete_unchanged({name: versions[name] for name in sorted(unused)})
        others = [one.id for one in planned if not gone[_image_key(one)]]
        if changed is not None:
            changed.extend(others)
        elif others:
            raise self.changed_meanwhile(others)
        return [
            one._replace(with_embedding=one.with_embedding and gone.get(_embedding_key(one), False))
            for one in planned
            if gone[_image_key(one)]
        ]

    def changed_meanwhile(self, image_ids: Sequence[str]) -> UpdateConflict:
        """Return the error for images that another client wrote while they were to be deleted."""
        return UpdateConflict(
            f"{self.where}: another client has just written {', '.join(image_ids)}, so that was not deleted; try again"
        )

    async def _embedding_of(self, image_id: str) -> Vector[float]:
        """Return the embedding of an image. Raises NotFound, InvalidData."""
        key = (await self.get(image_id)).embedding_key
        if key is None:
            raise NotFound(
                f"image {image_id} has no embedding: `awictl media put {image_id} --embedding FILE` adds one"
            )
        name = keys.embedding_key(key)
        value = await self._reader.read(name)
        if value is None:
            location = self._reader.location(name)
            raise NotFound(f"the embedding of image {image_id} does not exist: nothing is stored at {location}")
        try:
            return embeddings.decode(value.raw)
        except InvalidData as error:
            raise InvalidData(f"{self._reader.location(name)}: {error}") from None


def _image_key(one: ImageDeletion) -> str:
    return keys.image_key(one.id)


def _embedding_key(one: ImageDeletion) -> str:
    return keys.embedding_key(one.embedding_key) if one.embedding_key is not None else ""
