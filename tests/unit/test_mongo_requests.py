"""What becomes of the driver's errors when a request to live sessions in MongoDB fails."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo import errors

from awictl.errors import AccessDenied, AwiError, Unconfirmed, Unreachable
from awictl.store.errors import ReplyLost
from awictl.store.mongo.database import LiveDatabase
from awictl.store.mongo.mapping import Mappings

LOST = [
    errors.AutoReconnect("connection closed"),
    errors.NetworkTimeout("timed out"),
    errors.NotPrimaryError("not primary", {"code": 10107}),
    errors.ExecutionTimeout("operation exceeded time limit", 50),
]
NOT_SENT = [
    errors.ServerSelectionTimeoutError("No servers found yet"),
    errors.WaitQueueTimeoutError("Timed out while checking out a connection"),
]
UNCONFIRMED = [
    errors.WTimeoutError("waiting for replication timed out", 64, {}),
    errors.WriteConcernError("not enough data-bearing nodes", 100, {}),
]


def database() -> LiveDatabase:
    connection: Any = SimpleNamespace(where="mongodb://there/awi", collection=lambda name: name)
    return LiveDatabase(connection, "awi_live", timeout=5)


def failed(error: Exception) -> AwiError:
    with pytest.raises(AwiError) as raised, database().write_once("it was applied", "retry it", "op-1"):
        raise error
    assert "mongodb://there/awi" in str(raised.value)
    return raised.value


@pytest.mark.parametrize("error", LOST, ids=lambda error: type(error).__name__)
def test_a_write_that_may_have_been_executed(error: Exception) -> None:
    assert isinstance(failed(error), ReplyLost)


@pytest.mark.parametrize("error", NOT_SENT, ids=lambda error: type(error).__name__)
def test_a_write_that_was_not_sent(error: Exception) -> None:
    found = failed(error)
    assert isinstance(found, Unreachable) and not isinstance(found, ReplyLost)


def test_a_connection_that_was_refused_has_sent_nothing() -> None:
    error = errors.AutoReconnect("there:27017: [Errno 111] Connection refused")
    error.__cause__ = ConnectionRefusedError(111, "Connection refused")
    found = failed(error)
    assert isinstance(found, Unreachable) and not isinstance(found, ReplyLost)


@pytest.mark.parametrize("error", UNCONFIRMED, ids=lambda error: type(error).__name__)
def test_a_write_that_a_majority_did_not_confirm(error: Exception) -> None:
    found = failed(error)
    assert isinstance(found, Unconfirmed) and found.op_id == "op-1"
    assert "it was applied" in str(found) and "retry it" in str(found)


def test_a_write_that_was_rejected() -> None:
    assert isinstance(failed(errors.OperationFailure("not authorized", 13, {"errmsg": "no"})), AccessDenied)


def test_reads_and_writes_that_may_be_repeated_are_unreachable() -> None:
    for error in (*LOST, *NOT_SENT):
        with pytest.raises(AwiError) as raised, database().request():
            raise error
        assert not isinstance(raised.value, ReplyLost), error


async def test_a_mapping_that_two_processes_insert_at_once_is_set() -> None:
    """A server may report that the other one has inserted it, instead of trying again itself."""
    calls = 0

    async def find_one_and_update(*_: Any, **__: Any) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise errors.DuplicateKeyError("E11000 duplicate key error", 11000)
        return {"_id": "agent", "session_id": "sess_other", "expires_at": None}

    used = database()
    used.agents = SimpleNamespace(find_one_and_update=find_one_and_update)  # type: ignore[assignment]
    used.clock = SimpleNamespace(now=_now)  # type: ignore[assignment]
    assert await Mappings(used).set("agent", "sess_mine", None) == "sess_other"
    assert calls == 2


async def _now() -> datetime:
    return datetime.now(UTC)


async def test_indexes_are_created_once_however_many_tasks_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    created = 0

    async def create_indexes(_: LiveDatabase) -> None:
        nonlocal created
        created += 1
        await asyncio.sleep(0)

    monkeypatch.setattr(LiveDatabase, "_create_indexes", create_indexes)
    used = database()
    await asyncio.gather(*(used.prepare() for _ in range(20)))
    assert created == 1
