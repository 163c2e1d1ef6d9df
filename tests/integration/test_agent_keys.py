"""API keys of agents, beside both archives: registration, what is stored, states, and caching."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import DatetimeMS, ObjectId
from pymongo import _csot
from pymongo.asynchronous.cursor import AsyncCursor
from support.api import APP_ID, APP_SECRET, registry_at
from support.archives import forget_sockets
from support.mongo import DATABASE, MongoServer
from support.proxy import hanging_writes
from support.waiting import within

from awictl import AgentKey, InvalidInput, NotFound, Permission, ReadOnly, Refused, Settings, StateManager, Unreachable
from awictl.agents import mongo as mongo_keys
from awictl.agents.api_keys import KeyState
from awictl.agents.key_cache import (
    CACHE_SECONDS,
    CACHED_KEYS_BYTES,
    CACHED_MISSES,
    CHECK_SECONDS,
    MAX_LOOKUPS,
    MISS_SECONDS,
)
from awictl.agents.mongo import _key
from awictl.agents.records import AgentRecord
from awictl.agents.registry import AgentRegistry
from awictl.agents.secret import digest_of
from awictl.agents.suspension import Suspension
from awictl.agents.usage import Usage, Use
from awictl.store.mongo import connection


@pytest.fixture
async def agents(archive_settings: Settings) -> AsyncIterator[AgentRegistry]:
    async with registry_at(archive_settings) as registry:
        yield registry


def everything_stored(settings: Settings, tmp_path: Path, mongo: MongoServer | None) -> bytes:
    """Return all bytes that an archive stores."""
    if mongo is not None:
        return repr([list(mongo.raw[name].find()) for name in mongo.raw.list_collection_names()]).encode()
    return b"".join(file.read_bytes() for file in tmp_path.glob("archive.db*"))


async def test_a_key_and_its_secret(
    agents: AgentRegistry, archive_settings: Settings, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    assert await agents.all() == []
    made = await agents.register(
        "Browser 🙂", permissions=[Permission.WRITE, Permission.READ], expires_in_ms=60_000, description="x"
    )
    assert made.secret.startswith("agent_") and len(made.secret) == 38 and int(made.secret[6:], 16)
    assert len(made.key.agent_id) == 24 and int(made.key.agent_id, 16)
    assert made.key.permissions == (Permission.READ, Permission.WRITE)
    async with registry_at(archive_settings) as other:  # another process
        found = await other.find(made.secret)
        assert found == made.key == await other.get(made.key.agent_id) == await other.get("Browser 🙂")
        assert await other.all() == [made.key]
        assert await other.find(made.secret[:-1] + ("0" if made.secret[-1] != "0" else "1")) is None
    mongo = request.getfixturevalue("mongo") if archive_settings.mongodb_uri else None
    stored = everything_stored(archive_settings, tmp_path, mongo)
    assert digest_of(made.secret).encode() in stored
    assert made.secret.encode() not in stored and made.secret[6:].encode() not in stored
    assert made.secret not in repr(made.key.row())


async def test_expiry_and_revocation(agents: AgentRegistry) -> None:
    made = await agents.register("x", expires_in_ms=60_000)
    assert made.key.expires_at is not None and made.key.created_at is not None
    assert abs(made.key.expires_at - made.key.created_at - timedelta(minutes=1)) < timedelta(milliseconds=2)
    assert made.key.state() is KeyState.ACTIVE
    assert made.key.state(made.key.expires_at) is KeyState.EXPIRED
    revoked = await agents.revoke(made.key.agent_id)
    assert revoked.state() is KeyState.REVOKED and not revoked.active
    assert (await agents.revoke("x")).state() is KeyState.REVOKED, "again"
    assert (await agents.register("for ever")).key.expires_at is None
    far = await agents.register("long", expires_in_ms=10**15)
    assert far.key.expires_at is not None and far.key.state() is KeyState.ACTIVE


NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, KeyState.ACTIVE),
        ({"suspended": True}, KeyState.SUSPENDED),
        ({"suspended": True, "suspended_until": NOW + timedelta(seconds=1)}, KeyState.SUSPENDED),
        ({"suspended": True, "suspended_until": NOW}, KeyState.ACTIVE),
        ({"suspended": True, "active": False}, KeyState.REVOKED),
        ({"suspended": True, "expires_at": NOW}, KeyState.EXPIRED),
        ({"expires_at": NOW + timedelta(seconds=1)}, KeyState.ACTIVE),
    ],
)
def test_states(change: dict[str, Any], state: KeyState) -> None:
    assert replace(AgentKey("a", "b", (Permission.READ,), NOW), **change).state(NOW) is state


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x00", "x" * 257, "\ud800", 7])
async def test_invalid_names(agents: AgentRegistry, name: Any) -> None:
    with pytest.raises(InvalidInput):
        await agents.register(name)


async def test_other_invalid_arguments(agents: AgentRegistry) -> None:
    for wrong in ({"permissions": []}, {"description": "x" * 2_001}, {"description": "\ud800"}, {"expires_in_ms": 0}):
        with pytest.raises(InvalidInput):
            await agents.register("x", **wrong)  # type: ignore[arg-type]
    assert await agents.all() == []


@pytest.mark.parametrize(
    "secret", ["", "x" * 257, "agent_\x00", "\ud800", "a\nb", '{"$ne": null}', "' OR 1=1 --", "agent_*", "agent_" + "é"]
)
async def test_unknown_secrets(agents: AgentRegistry, secret: str) -> None:
    await agents.register("x")
    assert await agents.find(secret) is None


async def test_several_agents_with_one_name(agents: AgentRegistry) -> None:
    first, second = [(await agents.register("twin")).key for _ in range(2)]
    with pytest.raises(Refused, match=first.agent_id) as error:
        await agents.get("twin")
    assert second.agent_id in str(error.value)
    await agents.revoke(first.agent_id)
    assert (await agents.get(second.agent_id)).active
    with pytest.raises(NotFound):
        await agents.get("nobody")
    with pytest.raises(NotFound):
        await agents.revoke("not an id")


async def test_read_only(archive_settings: Settings) -> None:
    async with registry_at(archive_settings) as agents:
        made = await agents.register("x")
    async with registry_at(replace(archive_settings, read_only=True)) as agents:
        assert await agents.find(made.secret) == made.key
        with pytest.raises(ReadOnly):
            await agents.register("y")
        with pytest.raises(ReadOnly):
            await agents.revoke("x")
        assert [key.name for key in await agents.all()] == ["x"]


async def test_without_an_archive(tmp_path: Path) -> None:
    async with StateManager.open(Settings()) as manager:
        with pytest.raises(Refused, match="keys of agents"):
            _ = manager.agents


# -- the app's keys


@pytest.fixture
def app_key(mongo: MongoServer) -> Iterator[dict[str, Any]]:
    """A key that the app created."""
    stored = mongo.put("agentapikeys", "mongo_agentapikey.ejson")
    yield stored


async def test_a_key_of_the_app(mongo: MongoServer, app_key: dict[str, Any]) -> None:
    before = list(mongo.raw["agentapikeys"].find())
    async with registry_at(Settings(mongodb_uri=mongo.uri)) as agents:
        ours = await agents.register("ours")
        key = await agents.find(APP_SECRET)
        assert key is not None and key.of_app and key.state() is KeyState.ACTIVE
        assert (key.agent_id, key.name, key.requests_per_hour) == (APP_ID, "BrowserUseAgent", 1000)
        assert key.permissions == (Permission.READ, Permission.WRITE)
        assert {one.agent_id for one in await agents.all()} == {APP_ID, ours.key.agent_id}
        assert APP_SECRET not in repr(await agents.all())
    assert list(mongo.raw["agentapikeys"].find()) == before


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"active": False}, KeyState.REVOKED),
        ({"expiresAt": datetime(2020, 1, 1, tzinfo=UTC)}, KeyState.EXPIRED),
        ({"suspended": True}, KeyState.SUSPENDED),
        ({"suspended": True, "suspendedUntil": datetime(2020, 1, 1, tzinfo=UTC)}, KeyState.ACTIVE),
        ({"suspended": True, "suspendedUntil": datetime(2999, 1, 1, tzinfo=UTC)}, KeyState.SUSPENDED),
        ({"expiresAt": None, "rateLimit": "none", "permissions": "all", "name": 7, "createdAt": "x"}, KeyState.ACTIVE),
        ({"active": "yes"}, KeyState.REVOKED),
        ({"expiresAt": "2999-01-01"}, KeyState.EXPIRED),
        ({"expiresAt": None, "rateLimit": {"requestsPerHour": float("inf")}}, KeyState.ACTIVE),
    ],
)
async def test_fields_of_the_keys_of_the_app(
    mongo: MongoServer, app_key: dict[str, Any], change: dict[str, Any], state: KeyState
) -> None:
    mongo.raw["agentapikeys"].update_one({}, {"$set": change})
    async with registry_at(Settings(mongodb_uri=mongo.uri)) as agents:
        key = await agents.find(APP_SECRET)
        assert key is not None and key.state() is state
        if change.get("permissions") == "all":
            assert (key.permissions, key.requests_per_hour, key.name) == ((), None, APP_ID)


@pytest.mark.parametrize(("milliseconds", "state"), [(-(2**60), KeyState.EXPIRED), (2**60, KeyState.ACTIVE)])
def test_an_expiry_that_no_datetime_has(milliseconds: int, state: KeyState) -> None:
    # the tests' server cannot store it
    assert _key({"_id": ObjectId(), "active": True, "expiresAt": DatetimeMS(milliseconds)}).state() is state


async def test_the_writes_of_mongodb_hang(mongo: MongoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "USUAL_TIMEOUT", 0.5)
    with hanging_writes(mongo.port) as proxy:
        async with registry_at(Settings(mongodb_uri=mongo.uri)) as agents:
            made = await agents.register("x")
        async with registry_at(Settings(mongodb_uri=proxy.uri(DATABASE), timeout=0.5)) as agents:
            for change in (agents.register("y"), agents.revoke("x")):
                with pytest.raises(Unreachable, match="in time"):
                    await within(connection.WRITE_SECONDS / 2, change)
            assert [one.agent_id for one in await agents.all()] == [made.key.agent_id]


async def test_mongodb_is_down(new_mongo: Callable[[], MongoServer]) -> None:
    mongo = new_mongo()
    async with StateManager.open(Settings(mongodb_uri=mongo.uri, timeout=0.7)) as manager:
        made = await manager.agents.register("x")
        assert await manager.agents.find(made.secret) == made.key
        mongo.kill()
        assert await manager.agents.find(made.secret) == made.key, "from the cache"
        for asked in (manager.agents.find("agent_1"), manager.agents.all(), manager.agents.register("y")):
            with pytest.raises(Unreachable):
                await asked
        await forget_sockets(manager.required_archive())


async def test_a_file_without_a_table_of_keys(tmp_path: Path) -> None:
    file = tmp_path / "archive.db"
    settings = Settings(archive_url=f"sqlite:///{file}")
    async with StateManager.open(settings) as manager:
        await manager.required_archive().save([])
        with closing(sqlite3.connect(file)) as db:
            assert not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'agent_keys'").fetchall()
        assert await manager.agents.all() == [] and await manager.agents.find("agent_1") is None
        made = await manager.agents.register("x")
        assert await manager.agents.find(made.secret) == made.key


async def test_keys_in_the_collection_of_earlier_versions(mongo: MongoServer) -> None:
    settings = Settings(mongodb_uri=mongo.uri)
    async with registry_at(settings) as agents:
        old = await agents.register("old")
        unused = await agents.register("unused", expires_in_ms=60_000, provisional=True)
    assert mongo.raw["awi_agent_keys"].count_documents({}) == 2
    mongo.raw["awi_agent_keys"].rename("awiagentkeys")
    async with registry_at(settings) as agents:
        new = await agents.register("new")
        assert {key.name for key in await agents.all()} == {"old", "unused", "new"}
        for made in (old, new):
            found = await agents.find(made.secret)
            assert found == made.key and await agents._usable([found]) == {found.agent_id}
            agents.count(found, "state")
        await agents.find(unused.secret)
        await asyncio.gather(*agents._confirming)
        await agents.suspend("old")
    async with registry_at(settings) as agents:
        record = await agents.record("old")
        assert (record.key.state(), record.requests) == (KeyState.SUSPENDED, 1)
        assert (await agents.get("unused")).expires_at is None
        assert len(await agents.records()) == 3
        assert (await agents.revoke("old")).state() is KeyState.REVOKED
    assert mongo.raw["awiagentkeys"].count_documents({"active": False}) == 1


# -- the cache


class CountingKeyStore:
    """A key store in memory that counts lookups."""

    where = "memory"

    def __init__(self) -> None:
        self.keys: dict[str, AgentKey] = {}
        self.lookups = 0
        #: Number of lookups at this moment, and the maximum of that.
        self.running = self.most_running = 0
        #: Whether lookups end.
        self.answers = asyncio.Event()
        self.answers.set()

    async def add(self, key: AgentKey, digest: str) -> None:
        self.keys[digest] = key

    async def find(self, secret: str, digest: str) -> AgentKey | None:
        self.lookups += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.answers.wait()
            return self.keys.get(digest)
        finally:
            self.running -= 1

    async def all(self) -> list[AgentKey]:
        return list(self.keys.values())

    async def named(self, agents: Sequence[str]) -> list[AgentKey]:
        return [key for key in self.keys.values() if key.agent_id in agents or key.name in agents]

    async def usable(self, keys: Sequence[AgentKey], now: datetime) -> set[str]:
        return {key.agent_id for key in self.keys.values() if key.state(now) is KeyState.ACTIVE}

    async def suspend(self, key: AgentKey, suspension: Suspension) -> None:
        self._change(key, suspended=True, suspended_until=suspension.until)

    async def resume(self, key: AgentKey) -> None:
        self._change(key, suspended=False)

    async def revoke(self, key: AgentKey) -> None:
        self._change(key, active=False)

    async def records(self, key: AgentKey | None = None) -> list[AgentRecord]:
        return [AgentRecord(one, Usage()) for one in self.keys.values()]

    async def add_usage(self, uses: Sequence[Use]) -> None:
        """Do nothing."""

    def _change(self, key: AgentKey, **fields: Any) -> None:
        self.keys = {
            digest: replace(one, **fields) if one.agent_id == key.agent_id else one for digest, one in self.keys.items()
        }

    async def confirm(self, agent_id: str, now: datetime) -> bool:
        return False


async def test_agents_are_looked_up_without_reading_all_keys(
    agents: AgentRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [(await agents.register(name)).key for name in ("a", "b", "b", "c")]

    async def all_keys(store: Any) -> list[AgentKey]:
        raise AssertionError("all keys were read")

    monkeypatch.setattr(type(agents._key_store), "all", all_keys)
    assert await agents.get("a") == made[0] and await agents.id_of(made[3].agent_id) == made[3].agent_id
    first, second, *errors = await agents.get_each([made[1].agent_id, "c", "b", "nobody", "\ud800", "a\0b", ""])
    assert [first, second] == [made[1], made[3]]
    assert [type(one) for one in errors] == [Refused, NotFound, NotFound, NotFound, NotFound]
    with pytest.raises(Refused, match="exists already"):
        await agents.register("c", unique=True)


async def test_ids_are_looked_up_without_a_search_for_names(
    mongo: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MongoDB has an index on ids, and may have none on names."""
    wanted: list[dict[str, Any]] = []
    find = mongo_keys.MongoKeyStore._read

    async def noting(store: Any, collection: Any, filter: dict[str, Any]) -> Any:
        wanted.append(filter)
        return await find(store, collection, filter)

    monkeypatch.setattr(mongo_keys.MongoKeyStore, "_read", noting)
    async with registry_at(Settings(mongodb_uri=mongo.uri)) as agents:
        first, second = [(await agents.register(name)).key for name in ("a", "b")]
        assert await agents.get_each([first.agent_id, second.agent_id]) == [first, second]
        assert [list(one) for one in wanted] == [["_id"], ["_id"]], "one for each collection"
        assert await agents.get_each(["b", first.agent_id]) == [second, first]
        assert wanted[-1] == {"name": {"$in": ["b"]}}


async def test_what_is_damaged_in_sqlite_does_not_keep_an_agent_from_being_suspended(tmp_path: Path) -> None:
    settings = Settings(archive_url=f"sqlite:///{tmp_path}/archive.db")
    async with registry_at(settings) as agents:
        for number, damage in enumerate(("x", "{}", "[1")):
            await agents.register(f"a{number}")
            with closing(sqlite3.connect(tmp_path / "archive.db")) as file, file:
                file.execute(
                    "UPDATE agent_keys SET suspension_history = ?, operations = '[1]' WHERE name = ?",
                    (damage, f"a{number}"),
                )
            assert (await agents.suspend(f"a{number}")).state() is KeyState.SUSPENDED
        assert (await agents.get("a0")).suspended
        record = (await agents.record("a1")).row()
        assert (record["suspensions"], record["operations"]) == ([], {})


async def test_each_batch_of_keys_has_a_deadline_of_its_own(
    mongo: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadlines: list[float] = []
    to_list = AsyncCursor.to_list

    async def noting(cursor: AsyncCursor[Any], length: int | None = None) -> list[Any]:
        deadlines.append(_csot.get_deadline())
        return await to_list(cursor, length)

    monkeypatch.setattr(mongo_keys, "_BATCH", 2)
    monkeypatch.setattr(AsyncCursor, "to_list", noting)
    mongo.raw["agentapikeys"].insert_many([{"_id": f"a{number}", "active": True} for number in range(5)])
    async with registry_at(Settings(mongodb_uri=mongo.uri)) as agents:
        assert len(await agents.all()) == 5 == len(await agents.records())
    assert len(deadlines) >= 6 and len(set(deadlines)) == len(deadlines), "a slow server may take long for many keys"


async def test_a_key_that_another_process_revokes_is_refused_within_seconds() -> None:
    key_store, now = CountingKeyStore(), 1_000.0
    agents = AgentRegistry(key_store, Settings(), clock=lambda: now)
    made = await agents.register("x")
    assert await agents.find(made.secret) == made.key
    await AgentRegistry(key_store, Settings()).revoke("x")
    now += CHECK_SECONDS - 0.1
    assert await agents.find(made.secret) == made.key and key_store.lookups == 1
    now += 0.2
    found = await agents.find(made.secret)
    assert found is not None and not found.active and key_store.lookups == 2


async def test_changes_in_the_same_process_take_effect_at_once() -> None:
    agents = AgentRegistry(CountingKeyStore(), Settings())
    made = await agents.register("x")
    assert await agents.find(made.secret) == made.key
    for change, state in (
        (agents.suspend, KeyState.SUSPENDED),
        (agents.resume, KeyState.ACTIVE),
        (agents.revoke, KeyState.REVOKED),
    ):
        await change("x")
        assert agents.cached(made.secret) is None
        found = await agents.find(made.secret)
        assert found is not None and found.state() is state


async def test_an_unknown_secret_is_cached_for_a_few_seconds() -> None:
    key_store, now = CountingKeyStore(), 1_000.0
    agents = AgentRegistry(key_store, Settings(), clock=lambda: now)
    for _ in range(3):
        assert await agents.find("agent_1") is None
    assert key_store.lookups == 1
    now += MISS_SECONDS + 0.1
    assert await agents.find("agent_1") is None and key_store.lookups == 2


async def test_unknown_secrets_do_not_evict_keys_and_no_secret_is_kept() -> None:
    key_store, now = CountingKeyStore(), 1_000.0
    agents = AgentRegistry(key_store, Settings(), clock=lambda: now)
    made = await agents.register("x")
    await agents.find(made.secret)
    for number in range(CACHED_MISSES + 50):
        assert await agents.find(f"agent_{number}") is None
    assert key_store.lookups == CACHED_MISSES + 51
    assert await agents.find(made.secret) == made.key and key_store.lookups == CACHED_MISSES + 51, "still cached"
    cache = agents._cache
    assert len(cache._unknown) == CACHED_MISSES and len(cache._found) == 1
    assert not any(known.startswith("agent_") for known in [*cache._unknown, *cache._found])


async def test_concurrent_lookups_of_a_secret_share_one_query() -> None:
    key_store = CountingKeyStore()
    agents = AgentRegistry(key_store, Settings())
    made = await agents.register("x")
    key_store.answers.clear()
    waiting = [asyncio.create_task(agents.find(secret)) for secret in [made.secret] * 50 + ["agent_1"] * 50]
    while key_store.running < 2:
        await asyncio.sleep(0)
    waiting[0].cancel()  # the others still get the result
    waiting[50].cancel()
    key_store.answers.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError) and isinstance(found[50], asyncio.CancelledError)
    assert found[1:50] == [made.key] * 49 and found[51:] == [None] * 49
    assert key_store.lookups == 2


async def test_a_lookup_that_nobody_waits_for_is_cancelled() -> None:
    """Otherwise lookups would pile up while the database hangs."""
    key_store = CountingKeyStore()
    agents = AgentRegistry(key_store, Settings())
    key_store.answers.clear()
    waiting = [asyncio.create_task(agents.find(f"agent_{number % 20}")) for number in range(40)]
    while key_store.running < MAX_LOOKUPS:
        await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    again = asyncio.create_task(agents.find("agent_2"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert key_store.running == 1, "the new one, which the cancelled one does not affect"
    key_store.answers.set()
    assert await again is None
    key_store.answers.clear()
    assert key_store.running == 0 and not agents._cache._running
    key_store.answers.set()
    assert await agents.find("agent_1") is None and key_store.lookups == MAX_LOOKUPS + 2


async def test_few_unknown_secrets_are_looked_up_at_once_and_known_keys_do_not_wait_for_them() -> None:
    key_store, now = CountingKeyStore(), 1_000.0
    agents = AgentRegistry(key_store, Settings(), clock=lambda: now)
    made = await agents.register("x")
    await agents.find(made.secret)
    now += CACHE_SECONDS + 1
    key_store.answers.clear()
    flood = [asyncio.create_task(agents.find(f"agent_{number}")) for number in range(500)]
    while key_store.running < MAX_LOOKUPS:
        await asyncio.sleep(0)
    good = asyncio.create_task(agents.find(made.secret))
    while key_store.running < MAX_LOOKUPS + 1:
        await asyncio.sleep(0)
    key_store.answers.set()
    assert await good == made.key
    assert await asyncio.gather(*flood) == [None] * 500
    assert key_store.most_running == MAX_LOOKUPS + 1


async def test_a_lookup_that_began_before_a_revocation_is_not_cached() -> None:
    key_store = CountingKeyStore()
    agents = AgentRegistry(key_store, Settings())
    made = await agents.register("x")
    key_store.answers.clear()
    before = asyncio.create_task(agents.find(made.secret))
    while not key_store.running:
        await asyncio.sleep(0)
    await agents.revoke("x")
    key_store.keys, revoked = {digest_of(made.secret): made.key}, key_store.keys
    key_store.answers.set()
    await before
    key_store.keys = revoked
    found = await agents.find(made.secret)
    assert found is not None and found.state() is KeyState.REVOKED


async def test_an_error_is_not_cached() -> None:
    class Broken(CountingKeyStore):
        async def find(self, secret: str, digest: str) -> AgentKey | None:
            await super().find(secret, digest)
            raise Unreachable

    key_store = Broken()
    agents = AgentRegistry(key_store, Settings())
    for count in (1, 2):
        with pytest.raises(Unreachable):
            await agents.find("agent_1")
        assert key_store.lookups == count


async def test_cached_keys_are_bounded_by_bytes() -> None:
    """Fields of the app's keys are of any length."""
    key_store = CountingKeyStore()
    agents = AgentRegistry(key_store, Settings())
    long = AgentKey("a", "x", (Permission.READ,), NOW, suspended=True, suspension_reason="x" * 1_000_000)
    for number in range(20):
        key_store.keys[digest_of(f"agent_{number}")] = long
        assert await agents.find(f"agent_{number}") == long
    assert 0 < agents._cache._found.bytes <= CACHED_KEYS_BYTES and len(agents._cache._found) < 5


# -- provisional keys


async def recorded(agents: AgentRegistry) -> None:
    """Wait until the first use of keys is recorded."""
    await asyncio.gather(*agents._confirming)


async def test_a_provisional_key_that_is_used_does_not_expire(
    agents: AgentRegistry, archive_settings: Settings
) -> None:
    made = await agents.register("x", expires_in_ms=60_000, provisional=True)
    assert made.key.provisional and made.key.expires_at is not None
    [listed] = await agents.all()
    assert listed == made.key, "listing is no use"
    used = await agents.find(made.secret)
    assert used == replace(made.key, provisional=False, expires_at=None)
    await recorded(agents)
    async with registry_at(archive_settings) as other:
        assert await other.all() == [used] and await other.find(made.secret) == used


async def test_a_provisional_key_that_nobody_uses_expires_and_is_deleted(
    agents: AgentRegistry, archive_settings: Settings
) -> None:
    used = await agents.register("used", expires_in_ms=60_000, provisional=True)
    await agents.find(used.secret)
    await recorded(agents)
    expiring = await agents.register("by the operator", expires_in_ms=1)
    unused = await agents.register("unused", expires_in_ms=1, provisional=True)
    await asyncio.sleep(0.005)
    found = await agents.find(unused.secret)
    assert found is not None and found.state() is KeyState.EXPIRED, "its first use came too late"
    later = await agents.register("later", expires_in_ms=60_000, provisional=True)
    async with registry_at(archive_settings) as other:
        assert {key.name for key in await other.all()} == {"by the operator", "used", "later"}
        assert await other.find(unused.secret) is None
        for kept in (expiring, used, later):
            assert await other.find(kept.secret) is not None


async def test_read_only_authentication_does_not_confirm_a_key(
    agents: AgentRegistry, archive_settings: Settings
) -> None:
    made = await agents.register("x", expires_in_ms=60_000, provisional=True)
    async with registry_at(replace(archive_settings, read_only=True)) as reader:
        assert await reader.find(made.secret) == made.key
    assert await agents.all() == [made.key]


async def test_a_table_of_an_earlier_version_gets_the_new_column(tmp_path: Path) -> None:
    file = tmp_path / "archive.db"
    settings = Settings(archive_url=f"sqlite:///{file}")
    async with registry_at(settings) as agents:
        old = await agents.register("old")
        with closing(sqlite3.connect(file)) as db:
            db.execute("ALTER TABLE agent_keys DROP COLUMN provisional")
            db.commit()
        assert await agents.all() == [old.key]
        new = await agents.register("new", expires_in_ms=60_000, provisional=True)
        assert {key.name for key in await agents.all()} == {"old", "new"}
        assert await agents.find(old.secret) == old.key
        found = await agents.find(new.secret)
        assert found is not None and found.expires_at is None
        await recorded(agents)
        assert found in await agents.all()


async def test_the_apps_keys_are_never_provisional(mongo: MongoServer, app_key: dict[str, Any]) -> None:
    """Even if one has a field of that name: it is neither confirmed nor deleted."""
    mongo.raw["agentapikeys"].update_one({}, {"$set": {"provisional": True, "expiresAt": datetime(2020, 1, 1)}})
    before = list(mongo.raw["agentapikeys"].find())
    async with registry_at(Settings(mongodb_uri=mongo.uri)) as agents:
        await agents.register("ours", expires_in_ms=60_000, provisional=True)
        found = await agents.find(APP_SECRET)
        assert found is not None and not found.provisional and found.state() is KeyState.EXPIRED
    assert list(mongo.raw["agentapikeys"].find()) == before
