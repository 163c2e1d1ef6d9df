"""The media cache on a real server: writing, reading, listing, deleting and comparing images."""

from __future__ import annotations

import asyncio
import json
import math
import random
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from support.monitor import monitored
from support.proxy import Proxy
from support.valkey import ValkeyServer

from awictl import InvalidData, InvalidInput, NotFound, ReadOnly, StateManager, TooLarge, UpdateConflict
from awictl.media.embeddings import encode, to_vector
from awictl.media.images import Image, MediaStats
from awictl.media.similarity import Match

URLS = {"thumbnail_url": "https://cdn/1s.jpg", "full_url": "https://cdn/1.jpg"}
HOUR_MS = 3_600_000
READING = {"GETRANGE", "STRLEN", "PTTL", "SCAN", "EVAL", "EVALSHA"}


def put_image(server: ValkeyServer, image_id: str, key: str | None = None, **more: Any) -> None:
    image = {**URLS, "embedding_key": key, **more}
    server.raw.set(f"MEDIA:IMG:{image_id}", json.dumps(image), ex=1000)


def put_vector(server: ValkeyServer, key: str, *numbers: float) -> None:
    server.raw.set(f"MEDIA:EMBED:{key}", encode(to_vector(numbers)), ex=1000)


def stored(server: ValkeyServer, image_id: str) -> Any:
    return json.loads(server.raw.get(f"MEDIA:IMG:{image_id}"))


async def listed(manager: StateManager, totals: MediaStats | None = None) -> dict[str, Image]:
    return {image.id: image async for images in manager.media.list(totals=totals) for image in images}


def names(server: ValkeyServer) -> set[str]:
    return {name.decode() for name in server.raw.scan_iter()}


# -- writing


async def test_put_stores_an_image_with_its_embedding(manager: StateManager, valkey: ValkeyServer) -> None:
    image = await manager.media.put("post_1", **URLS, embedding=[1, 2.5])
    assert stored(valkey, "post_1") == URLS | {"embedding_key": "post_1"}
    assert valkey.raw.get("MEDIA:EMBED:post_1") == struct.pack("<2f", 1, 2.5)
    for name in ("MEDIA:IMG:post_1", "MEDIA:EMBED:post_1"):
        assert HOUR_MS - 60_000 < valkey.raw.pttl(name) <= HOUR_MS
    assert image.row(full=True) == {
        **URLS, "id": "post_1", "ttl_ms": HOUR_MS, "embedding_key": "post_1", "dimensions": 2, "bytes": 8,
        "embedding_ttl_ms": HOUR_MS, "other": {},
    }  # fmt: skip
    found = await manager.media.get("post_1")
    assert found.embedding is not None and found.embedding.dimensions == 2
    assert "full_url" not in found.row() and found.row()["thumbnail_url"] == URLS["thumbnail_url"]


async def test_put_without_an_embedding(manager: StateManager, valkey: ValkeyServer) -> None:
    await manager.media.put("post_1", **URLS)
    assert stored(valkey, "post_1") == URLS | {"embedding_key": None}
    assert names(valkey) == {"MEDIA:IMG:post_1"}


async def test_the_ttl_is_a_setting(valkey: ValkeyServer) -> None:
    async with StateManager.open(valkey.settings(media_cache_ttl_minutes=1)) as manager:
        await manager.media.put("a", **URLS, embedding=[1])
    assert all(50_000 < valkey.raw.pttl(name) <= 60_000 for name in names(valkey)) and len(names(valkey)) == 2


async def test_put_updates_an_existing_image(manager: StateManager, valkey: ValkeyServer) -> None:
    others = {"alt": "tür 🙂 \ud83d", "size": {"w": 2**63 + 1}, "embedding": [None]}
    put_image(valkey, "a", "clip", **others)
    put_vector(valkey, "clip", 1, 2)
    image = await manager.media.put("a", thumbnail_url="https://cdn/new.jpg")
    assert stored(valkey, "a") == {
        "thumbnail_url": "https://cdn/new.jpg", "full_url": URLS["full_url"], "embedding_key": "clip",
        **others,
    }  # fmt: skip
    assert image.embedding is not None and image.embedding.dimensions == 2
    assert valkey.raw.get("MEDIA:EMBED:clip") == struct.pack("<2f", 1, 2)
    for name in ("MEDIA:IMG:a", "MEDIA:EMBED:clip"):  # both have the same TTL
        assert valkey.raw.pttl(name) > HOUR_MS - 60_000


async def test_embedding_keys(manager: StateManager, valkey: ValkeyServer) -> None:
    await manager.media.put("a", **URLS, embedding=[1], embedding_key="clip:a")
    assert names(valkey) == {"MEDIA:IMG:a", "MEDIA:EMBED:clip:a"}
    await manager.media.put("a", embedding=[2])
    assert valkey.raw.get("MEDIA:EMBED:clip:a") == struct.pack("<f", 2), "the stored key is kept if none is given"
    await manager.media.put("a", embedding=[3], embedding_key="new")
    assert stored(valkey, "a")["embedding_key"] == "new"
    put_image(valkey, "b", None)
    await manager.media.put("b", embedding=[4])
    assert stored(valkey, "b")["embedding_key"] == "b"
    image = await manager.media.put("b", embedding_key="not there")
    assert (image.embedding_key, image.embedding) == ("not there", None)
    assert "MEDIA:EMBED:not there" not in names(valkey)


@pytest.mark.parametrize(
    "given",
    [
        {"thumbnail_url": "x"},
        {"full_url": "x"},
        {"embedding": [1.0]},
        {**URLS, "full_url": ""},
        {**URLS, "full_url": "a\nb"},
        {**URLS, "full_url": "x" * 1_048_577},
        {**URLS, "thumbnail_url": 7},
        {**URLS, "embedding": []},
        {**URLS, "embedding": [math.nan]},
        {**URLS, "embedding_key": ""},
        {**URLS, "embedding_key": "x" * 257},
        {**URLS, "image_id": "a\x00"},
    ],
)
async def test_invalid_arguments_are_refused(
    manager: StateManager, valkey: ValkeyServer, given: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput):
        await manager.media.put(**{"image_id": "a", **given})
    assert names(valkey) == set()


async def test_put_takes_two_round_trips(proxy: Proxy, valkey: ValkeyServer) -> None:
    async with StateManager.open(proxy.settings()) as manager:
        await manager.media.put("warm-up", **URLS)
        before = proxy.round_trips
        with monitored(valkey) as seen:
            await manager.media.put("a", **URLS, embedding=[1, 2])
        assert proxy.round_trips == before + 2
        assert [name for name in seen.names if name not in READING] == ["GET", "SET", "SET"]
        await manager.media.get("a")
        assert proxy.round_trips == before + 4


# -- invalid stored values


async def test_errors_of_invalid_images_name_the_key(manager: StateManager, valkey: ValkeyServer) -> None:
    broken = {"text": b"hello", "array": b"[]", "null": b"null", "empty": b"", "cut": b'{"thumbnail_url":'}
    for name, raw in broken.items():
        valkey.raw.set(f"MEDIA:IMG:{name}", raw)
    valkey.raw.rpush("MEDIA:IMG:list", "x")
    valkey.raw.set("MEDIA:IMG:bad\nname", b"{}")
    put_image(valkey, "good", "good")
    put_vector(valkey, "good", 1)
    for name in (*broken, "list"):
        for call in (manager.media.get, manager.media.put, manager.media.similar):
            with pytest.raises(InvalidData, match=f"key MEDIA:IMG:{name}"):
                await call(name)
    totals = MediaStats()
    images = await listed(manager, totals)
    assert images.keys() == {*broken, "list", "bad\nname", "good"}
    assert all(f"MEDIA:IMG:{name}" in str(image.error) for name, image in images.items() if name != "good")
    assert images["good"].error is None and (totals.images, totals.unreadable) == (8, 7)
    assert images["text"].ttl_ms is None
    assert len(await manager.media.delete([*broken, "list"])) == 6
    assert names(valkey) == {"MEDIA:IMG:bad\nname", "MEDIA:IMG:good", "MEDIA:EMBED:good"}


@pytest.mark.parametrize("key", [7, True, [], "", "x" * 257, "\ud800", "a\nb"])
async def test_fields_of_another_type_are_none(manager: StateManager, valkey: ValkeyServer, key: Any) -> None:
    put_image(valkey, "a", key, thumbnail_url=7, full_url=None)
    image = await manager.media.get("a")
    assert (image.thumbnail_url, image.full_url, image.embedding_key, image.error) == (None, None, None, None)


async def test_an_image_with_an_invalid_embedding(manager: StateManager, valkey: ValkeyServer) -> None:
    put_image(valkey, "a", "k")
    valkey.raw.set("MEDIA:EMBED:k", b"hello")
    image = await manager.media.get("a")
    assert image.error is None and image.embedding is not None and image.embedding.dimensions is None
    assert "MEDIA:EMBED:k" in image.row()["error"] and image.row()["bytes"] == 5
    with pytest.raises(InvalidData, match="MEDIA:EMBED:k: 5 bytes"):
        await manager.media.similar("a")
    await manager.media.put("a", embedding=[1])
    assert (await manager.media.get("a")).row()["dimensions"] == 1


async def test_values_larger_than_the_first_read(manager: StateManager, valkey: ValkeyServer) -> None:
    put_image(valkey, "a", "k", note="x" * 20_000)
    numbers = [float(number) for number in range(5_000)]
    await manager.media.put("a", embedding=numbers)
    image = await manager.media.get("a")
    assert image.other == {"note": "x" * 20_000} and image.row()["dimensions"] == 5_000
    put_vector(valkey, "other", *numbers)
    assert (await manager.media.similar("a")).matches == [Match(None, "other", 1.0)]


async def test_values_above_the_size_limit(valkey: ValkeyServer) -> None:
    put_image(valkey, "a", "k", note="x" * 20_000)
    put_image(valkey, "b", "k")
    put_vector(valkey, "k", *range(5_000))
    async with StateManager.open(valkey.settings(max_document_bytes=10_000)) as manager:
        with pytest.raises(TooLarge, match="MEDIA:IMG:a"):
            await manager.media.get("a")
        images = await listed(manager)
        assert "MEDIA:IMG:a" in str(images["a"].error) and "MEDIA:EMBED:k" in images["b"].row()["error"]
        assert (await manager.media.similar([1.0, 2.0])).unreadable == 1


# -- listing


async def test_a_listing_updates_the_totals(manager: StateManager, valkey: ValkeyServer) -> None:
    for number in range(700):
        put_image(valkey, f"i{number}", f"e{number}" if number % 2 else "shared")
        if number % 4 == 1:
            put_vector(valkey, f"e{number}", 1, 2, 3)
    put_vector(valkey, "shared", 1, 2)
    for orphan in ("lost", "lost too"):
        put_vector(valkey, orphan, 1)
    valkey.raw.set("MEDIA:OTHER:x", b"x")
    valkey.raw.set("MEDIA:IMG", b"x")
    totals = MediaStats()
    images = await listed(manager, totals)
    assert len(images) == 700
    assert images["i0"].row()["dimensions"] == 2 and images["i1"].row()["bytes"] == 12
    assert images["i3"].row()["embedding_key"] == "e3" and images["i3"].embedding is None
    assert totals == MediaStats(700, 0, 178, 175 * 12 + 8 + 2 * 4, 2)


async def test_an_empty_cache(manager: StateManager, valkey: ValkeyServer) -> None:
    totals = MediaStats()
    assert await listed(manager, totals) == {} and totals == MediaStats()
    assert await manager.media.find("a") is None and await manager.media.find("x" * 999) is None
    assert await manager.media.delete(["a"]) == []
    assert (await manager.media.similar([1])).matches == []
    with pytest.raises(NotFound, match="image a"):
        await manager.media.get("a")


# -- deleting


async def test_delete_keeps_embeddings_that_other_images_use(manager: StateManager, valkey: ValkeyServer) -> None:
    for image_id, key in {"a": "shared", "b": "shared", "c": "own", "d": None, "e": "gone"}.items():
        put_image(valkey, image_id, key)
    for key in ("shared", "own", "c"):
        put_vector(valkey, key, 1)
    before = names(valkey)
    planned = await manager.media.plan_deletion(["a", "c", "d", "e", "x", "a"])
    assert [tuple(one) for one in planned] == [
        ("a", "shared", False, ["b"]), ("c", "own", True, []), ("d", None, False, []), ("e", "gone", False, []),
    ]  # fmt: skip
    assert names(valkey) == before
    assert await manager.media.delete(["a", "c", "d", "e", "x"]) == planned
    assert names(valkey) == {"MEDIA:IMG:b", "MEDIA:EMBED:shared", "MEDIA:EMBED:c"}
    [last] = await manager.media.delete(["b"])
    assert last.with_embedding and names(valkey) == {"MEDIA:EMBED:c"}


async def test_delete_all_images_that_share_an_embedding(manager: StateManager, valkey: ValkeyServer) -> None:
    for image_id in "ab":
        put_image(valkey, image_id, "shared")
    put_vector(valkey, "shared", 1)
    assert [one.with_embedding for one in await manager.media.delete(["b", "a"])] == [True, True]
    assert names(valkey) == set()


def during_the_scan(manager: StateManager, meanwhile: Callable[[], Awaitable[object]]) -> None:
    """Run `meanwhile` at the end of the next scan for other users of an embedding."""
    reader = manager.media._reader
    scan = reader.scan

    async def scanned(rate: float | None) -> AsyncGenerator[Any, None]:
        reader.scan = scan  # type: ignore[method-assign]
        async for batch in scan(rate):
            yield batch
        await asyncio.sleep(0.005)  # an expiry is compared to the millisecond, on Redis 6.2 to two
        await meanwhile()

    reader.scan = scanned  # type: ignore[method-assign]


@pytest.mark.parametrize("change", [{"full_url": "https://cdn/new.jpg"}, URLS, {"embedding": [2.0]}], ids=str)
async def test_an_image_that_is_put_while_it_is_deleted_is_kept(
    manager: StateManager, valkey: ValkeyServer, change: dict[str, Any]
) -> None:
    """Its put was acknowledged, even if that changed nothing but the TTL."""
    for image_id in "ab":
        put_image(valkey, image_id, image_id)
        put_vector(valkey, image_id, 1)
    async with StateManager.open(valkey.settings()) as other:
        during_the_scan(manager, lambda: other.media.put("a", **change))
        changed: list[str] = []
        deleted = await manager.media.delete(["a", "b"], changed=changed)
        assert [tuple(one) for one in deleted] == [("b", "b", True, [])] and changed == ["a"]
        assert names(valkey) == {"MEDIA:IMG:a", "MEDIA:EMBED:a"}
        assert stored(valkey, "a") == URLS | {"embedding_key": "a"} | {
            "full_url": change.get("full_url", URLS["full_url"])
        }
        during_the_scan(manager, lambda: other.media.put("a", **change))
        with pytest.raises(UpdateConflict, match="a, so that was not deleted"):
            await manager.media.delete(["a"])
        assert "MEDIA:IMG:a" in names(valkey)
        assert len(await manager.media.delete(["a"])) == 1 and names(valkey) == set()


@pytest.mark.parametrize("vector", [None, [3.0]], ids=["its embedding stays", "its embedding is replaced"])
async def test_an_embedding_that_another_image_takes_meanwhile_is_kept(
    manager: StateManager, valkey: ValkeyServer, vector: list[float] | None
) -> None:
    for image_id in "ab":
        put_image(valkey, image_id, "shared")
    put_vector(valkey, "shared", 1)
    async with StateManager.open(valkey.settings()) as other:
        during_the_scan(manager, lambda: other.media.put("c", **URLS, embedding_key="shared", embedding=vector))
        deleted = await manager.media.delete(["a", "b"])
        assert [tuple(one) for one in deleted] == [("a", "shared", False, []), ("b", "shared", False, [])]
        assert names(valkey) == {"MEDIA:IMG:c", "MEDIA:EMBED:shared"}
        image = await other.media.get("c")
    assert image.embedding is not None and image.embedding.error is None


async def test_images_that_are_gone_meanwhile_count_as_deleted(manager: StateManager, valkey: ValkeyServer) -> None:
    """And those of other types, or without a TTL, are deleted like others."""
    put_image(valkey, "a", "a")
    put_vector(valkey, "a", 1)
    valkey.raw.rpush("MEDIA:IMG:list", "x")
    valkey.raw.set("MEDIA:IMG:text", "x")

    async def expire() -> None:
        valkey.raw.delete("MEDIA:IMG:a", "MEDIA:EMBED:a")

    during_the_scan(manager, expire)
    assert len(await manager.media.delete(["a", "list", "text"])) == 3
    assert names(valkey) == set()


# -- similar images


def expected_order(query: Sequence[float], vectors: dict[str, Sequence[float]]) -> list[str]:
    def score(key: str) -> float:
        other = vectors[key]
        dot = math.fsum(a * b for a, b in zip(query, other, strict=True))
        return dot / math.sqrt(math.fsum(a * a for a in other))

    return sorted(vectors, key=lambda key: (-score(key), key))


async def test_the_most_similar_images(manager: StateManager, valkey: ValkeyServer) -> None:
    dice = random.Random(3)
    vectors = {f"i{number}": to_vector(dice.gauss(0, 1) for _ in range(24)) for number in range(600)}
    for image_id, vector in vectors.items():
        put_image(valkey, image_id, f"e:{image_id}")
        put_vector(valkey, f"e:{image_id}", *vector)
    valkey.raw.set("MEDIA:EMBED:e:i5", json.dumps(vectors["i5"].tolist()))
    expected = expected_order(vectors["i5"], vectors)
    found = await manager.media.similar("i5", top=20)
    assert [one.id for one in found.matches] == expected[1:21] and found.compared == 600
    assert [one.embedding_key for one in found.matches] == [f"e:{one}" for one in expected[1:21]]
    found = await manager.media.similar(vectors["i5"], top=1)
    assert found.matches == [Match("i5", "e:i5", 1.0)]
    assert len((await manager.media.similar("i5", top=10_000)).matches) == 599


async def test_equal_scores_are_sorted_by_id(manager: StateManager, valkey: ValkeyServer) -> None:
    ids = [f"i{number:02}" for number in range(40)]
    for image_id in random.Random(5).sample(ids, len(ids)):
        put_image(valkey, image_id, image_id)
        put_vector(valkey, image_id, 1.5, -2.5, 1 / 3)
    put_vector(valkey, "orphan", 1.5, -2.5, 1 / 3)
    found = await manager.media.similar("i07", top=100)
    assert [one.id for one in found.matches] == [one for one in ids if one != "i07"] + [None]
    assert {one.score for one in found.matches} == {1.0} and found.matches[-1].embedding_key == "orphan"


async def test_similar_images_that_share_an_embedding(manager: StateManager, valkey: ValkeyServer) -> None:
    for image_id in "cab":
        put_image(valkey, image_id, "shared")
    put_vector(valkey, "shared", 1, 0)
    put_vector(valkey, "opposite", -2, 0)
    found = await manager.media.similar("b")
    assert found.matches == [Match("a", "shared", 1.0), Match("c", "shared", 1.0), Match(None, "opposite", -1.0)]


async def test_skipped_embeddings_are_counted(manager: StateManager, valkey: ValkeyServer) -> None:
    put_vector(valkey, "good", 1, 1)
    put_vector(valkey, "longer", 1, 1, 1)
    put_vector(valkey, "zero", 0, 0)
    valkey.raw.set("MEDIA:EMBED:text", b"hello")
    valkey.raw.rpush("MEDIA:EMBED:list", "x")
    found = await manager.media.similar([1, 1])
    assert found.matches == [Match(None, "good", 1.0)]
    assert (found.compared, found.other_dimensions, found.unreadable, found.zero) == (1, 1, 2, 1)


async def test_images_that_cannot_be_compared(manager: StateManager, valkey: ValkeyServer) -> None:
    put_image(valkey, "none", None)
    put_image(valkey, "gone", "k")
    put_image(valkey, "zero", "zero")
    put_vector(valkey, "zero", 0, 0)
    with pytest.raises(NotFound, match="there is no image missing"):
        await manager.media.similar("missing")
    with pytest.raises(NotFound, match="has no embedding"):
        await manager.media.similar("none")
    with pytest.raises(NotFound, match="MEDIA:EMBED:k"):
        await manager.media.similar("gone")
    with pytest.raises(InvalidInput, match="zeros"):
        await manager.media.similar("zero")
    with pytest.raises(InvalidInput):
        await manager.media.similar([1], top=0)


# -- servers, permissions and concurrency


async def test_a_separate_server_for_media(valkey: ValkeyServer, new_valkey: Callable[..., ValkeyServer]) -> None:
    other = new_valkey()
    async with StateManager.open(valkey.settings(media_redis_url=f"unix://{other.socket}")) as manager:
        await manager.media.put("a", **URLS, embedding=[1])
        assert str(other.socket) in manager.media.where
    assert names(valkey) == set() and names(other) == {"MEDIA:IMG:a", "MEDIA:EMBED:a"}


async def test_reading_writes_nothing_and_needs_no_scripts(valkey: ValkeyServer) -> None:
    for number in range(3):
        put_image(valkey, f"i{number}", f"i{number}")
        put_vector(valkey, f"i{number}", 1, number)
    before = {name: valkey.raw.dump(name) for name in names(valkey)}
    valkey.raw.acl_setuser("reader", enabled=True, nopass=True, keys=["*"], categories=["+@read"])
    try:
        for settings in (
            valkey.settings(read_only=True),
            valkey.settings(redis_username="reader", redis_password="any"),
        ):
            async with StateManager.open(settings) as manager:
                with monitored(valkey) as seen:
                    assert (await manager.media.get("i1")).row()["dimensions"] == 2
                    assert len(await listed(manager)) == 3
                    assert [one.id for one in (await manager.media.similar("i1")).matches] == ["i2", "i0"]
                    assert len(await manager.media.plan_deletion(["i1"])) == 1
                assert set(seen.names) <= READING | {"AUTH"}
    finally:
        valkey.raw.acl_deluser("reader")
    assert {name: valkey.raw.dump(name) for name in names(valkey)} == before


async def test_a_read_only_profile_refuses_writes(valkey: ValkeyServer) -> None:
    put_image(valkey, "a", None)
    async with StateManager.open(valkey.settings(read_only=True)) as manager:
        with monitored(valkey) as seen:
            for call in (manager.media.put("a", **URLS), manager.media.delete(["a"])):
                with pytest.raises(ReadOnly):
                    await call
        assert seen == []


async def test_concurrent_puts_are_merged(manager: StateManager, valkey: ValkeyServer) -> None:
    await manager.media.put("x", **URLS)
    changes: list[dict[str, Any]] = [{"thumbnail_url": "/t1"}, {"full_url": "/f1"}, {"embedding_key": "e1"}]
    for _ in range(20):
        await asyncio.gather(*(manager.media.put("x", **change) for change in changes))
        image = await manager.media.get("x")
        assert (image.thumbnail_url, image.full_url, image.embedding_key) == ("/t1", "/f1", "e1")
        valkey.raw.delete("MEDIA:IMG:x")
        await manager.media.put("x", **URLS)


async def test_put_gives_up_after_repeated_conflicts(manager: StateManager, valkey: ValkeyServer) -> None:
    await manager.media.put("x", **URLS)
    read = manager.media._reader.read
    writes = 0

    async def disturbed(place: str) -> Any:
        nonlocal writes
        value = await read(place)
        writes += 1
        valkey.raw.set(place, json.dumps({**URLS, "n": writes}), ex=100)
        return value

    manager.media._reader.read = disturbed  # type: ignore[method-assign]
    with pytest.raises(UpdateConflict, match="MEDIA:IMG:x"):
        await manager.media.put("x", thumbnail_url="/other")
    raw = valkey.raw.get("MEDIA:IMG:x")
    assert isinstance(raw, bytes) and b"/other" not in raw and writes > 5
