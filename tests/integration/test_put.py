"""Store a session exactly as another store has it: its bytes, its TTL, its last delta and its agent's mapping."""

from __future__ import annotations

import pytest
from support.documents import AGENT_ID, APP_FILES, SESSION_ID, agent_key, diff_key, put, session_key
from support.valkey import ValkeyServer

from awictl import Refused, StateManager
from awictl.errors import InvalidData

RAW = APP_FILES[1].read_bytes()


async def test_everything_is_stored_as_it_was(manager: StateManager, valkey: ValkeyServer) -> None:
    assert await manager.store.put(SESSION_ID, AGENT_ID, RAW, 90_000, (b'{"delta":{}}', 45_000)) == SESSION_ID
    assert valkey.raw.get(session_key()) == RAW and valkey.raw.get(diff_key()) == b'{"delta":{}}'
    assert valkey.raw.get(agent_key()) == SESSION_ID.encode()
    ttls = [valkey.raw.pttl(one) for one in (session_key(), diff_key(), agent_key())]
    for ttl, wanted in zip(ttls, (90_000, 45_000, 90_000), strict=True):
        assert 0 < ttl <= wanted, ttls


async def test_again_only_the_ttl_is_set(manager: StateManager, valkey: ValkeyServer) -> None:
    await manager.store.put(SESSION_ID, None, RAW, 90_000)
    assert not valkey.raw.exists(agent_key(), diff_key())
    assert await manager.store.put(SESSION_ID, None, RAW, None) is None
    assert valkey.raw.get(session_key()) == RAW and valkey.raw.ttl(session_key()) == -1
    await manager.store.put(SESSION_ID, None, RAW, 50_000)
    assert 0 < valkey.raw.pttl(session_key()) <= 50_000


async def test_other_bytes_are_never_overwritten(manager: StateManager, valkey: ValkeyServer) -> None:
    put(valkey, RAW + b" ")
    with pytest.raises(Refused, match=SESSION_ID):
        await manager.store.put(SESSION_ID, AGENT_ID, RAW, 90_000, (b"{}", 45_000))
    assert valkey.raw.get(session_key()) == RAW + b" " and not valkey.raw.exists(agent_key(), diff_key())
    valkey.raw.delete(session_key())
    valkey.raw.hset(session_key(), "field", "value")
    with pytest.raises(InvalidData):
        await manager.store.put(SESSION_ID, AGENT_ID, RAW, 90_000)
    assert valkey.raw.hgetall(session_key()) == {b"field": b"value"}


async def test_another_current_session_of_the_agent_stays(manager: StateManager, valkey: ValkeyServer) -> None:
    valkey.raw.set(agent_key(), "sess_other", px=5_000)
    assert await manager.store.put(SESSION_ID, AGENT_ID, RAW, 90_000) == "sess_other"
    assert valkey.raw.get(agent_key()) == b"sess_other" and 0 < valkey.raw.pttl(agent_key()) <= 5_000
    assert valkey.raw.get(session_key()) == RAW
