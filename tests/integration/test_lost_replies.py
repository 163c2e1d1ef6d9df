"""Deleting, restoring and updating after a lost or malformed reply: what was done is recognized as done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.documents import SESSION_ID, agent_key, session_key
from support.proxy import Cut, Proxy, once
from support.valkey import ValkeyServer

from awictl import NotFound, OutcomeUnknown, Refused, StateManager
from awictl.sessions import update


@pytest.fixture
async def behind(proxy: Proxy, tmp_path: Path) -> AsyncIterator[StateManager]:
    """A manager behind the proxy, with an archive; it has used the scripts, so the server knows them."""
    settings = proxy.settings(archive_url=f"sqlite:///{tmp_path}/archive.db")
    async with StateManager.open(settings) as opened:
        await opened.initialize_session("warm", "Warm", session_id="sess_warm")
        await opened.end_session("sess_warm")
        await opened.restore_session("sess_warm")
        await opened.discard_session("sess_warm")
        await opened.initialize_session("agent", "Agent", session_id=SESSION_ID)
        await opened.update_state_with_delta(SESSION_ID, {"n": 0})
        yield opened


@pytest.mark.parametrize("cut", [Cut.REPLY, Cut.REQUEST])
async def test_a_session_is_discarded_although_the_reply_was_lost(
    behind: StateManager, proxy: Proxy, valkey: ValkeyServer, cut: Cut
) -> None:
    from awictl.store.redis.sessions import _DELETE

    proxy.rule = once(cut, _DELETE.sha.encode())
    ended = await behind.discard_session(SESSION_ID)
    assert (ended.session_id, ended.agent_id, proxy.cuts[cut]) == (SESSION_ID, "agent", 1)
    assert not valkey.raw.exists(session_key(), agent_key("agent"))
    with pytest.raises(NotFound):
        await behind.discard_session(SESSION_ID)


async def test_a_session_that_another_client_deletes_meanwhile_is_not_found(
    behind: StateManager, valkey: ValkeyServer
) -> None:
    listing = behind.store.list

    async def deleted_after_listing(ids: list[str]) -> object:
        listed = await listing(ids)
        valkey.raw.delete(session_key())
        return listed

    behind.store.list = deleted_after_listing  # type: ignore[method-assign, assignment]
    with pytest.raises(NotFound):
        await behind.discard_session(SESSION_ID)


@pytest.mark.parametrize("cut", [Cut.REPLY, Cut.REQUEST])
async def test_a_session_is_restored_although_the_reply_was_lost(
    behind: StateManager, proxy: Proxy, valkey: ValkeyServer, cut: Cut
) -> None:
    from awictl.store.redis.restore import RESTORE

    await behind.end_session(SESSION_ID)
    proxy.rule = once(cut, RESTORE.sha.encode())
    archived, current = await behind.restore_session(SESSION_ID)
    assert (current, proxy.cuts[cut]) == (SESSION_ID, 1)
    assert valkey.raw.get(session_key()) == archived.raw
    assert valkey.raw.get(agent_key("agent")) == SESSION_ID.encode()


async def test_restoring_again_recognizes_the_restored_session(behind: StateManager, valkey: ValkeyServer) -> None:
    await behind.end_session(SESSION_ID)
    archived, _ = await behind.restore_session(SESSION_ID)
    valkey.raw.pexpire(session_key(), 5_000)
    _, mapped = await behind.restore_session(SESSION_ID, dry_run=True)
    again, current = await behind.restore_session(SESSION_ID)
    assert again.raw == archived.raw == valkey.raw.get(session_key()) and mapped == current == SESSION_ID
    assert valkey.raw.pttl(session_key()) > 5_000, "it has a new TTL, as after any restore"
    await behind.update_state_with_delta(SESSION_ID, {"n": 1})
    changed = valkey.raw.get(session_key())
    for dry_run in (True, False):
        with pytest.raises(Refused, match="is live there"):
            await behind.restore_session(SESSION_ID, dry_run=dry_run)
    valkey.raw.delete(session_key())
    valkey.raw.rpush(session_key(), "x")
    for dry_run in (True, False):
        with pytest.raises(Refused, match="is live there"):
            await behind.restore_session(SESSION_ID, dry_run=dry_run)
    assert changed and valkey.raw.type(session_key()) == b"list"


# -- malformed replies

MALFORMED = {
    "an integer": b":1\r\n",
    "null": b"$-1\r\n",
    "text": b"$2\r\nok\r\n",
    "an empty array": b"*0\r\n",
    "an unknown outcome": b"*2\r\n$4\r\ndone\r\n$0\r\n\r\n",
    "no outcome": b"*2\r\n$-1\r\n$0\r\n\r\n",
    "a number as the error": b"*2\r\n$2\r\nok\r\n:7\r\n",
    "not UTF-8": b"*2\r\n$2\r\n\xff\xfe\r\n$0\r\n\r\n",
    "nested": b"*2\r\n*1\r\n:1\r\n$0\r\n\r\n",
    "no reply at all": b"HTTP/1.1 200 OK\r\n\r\n",
}


@pytest.mark.parametrize("reply", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_reply_to_an_update_is_not_taken_for_a_failure(
    behind: StateManager, proxy: Proxy, reply: bytes
) -> None:
    replies = [reply]
    proxy.replacement = lambda request: replies.pop() if replies and b"mine" in request else None
    updated = await behind.apply(SESSION_ID, {"n": 1}, {"action": "filter", "op_id": "mine"})
    assert (updated.op_id, updated.head["n"], replies) == ("mine", 1, [])
    page = await behind.get_action_history(SESSION_ID)
    assert [one.get("op_id") for one in page.trajectory].count("mine") == 1


@pytest.mark.parametrize("reply", MALFORMED.values(), ids=MALFORMED.keys())
async def test_the_outcome_is_unknown_if_all_replies_are_malformed(
    behind: StateManager, proxy: Proxy, reply: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update, "RETRY_SECONDS", 0.1)
    sent = False

    def replace_all(request: bytes) -> bytes | None:
        nonlocal sent
        sent = sent or b"mine" in request
        return reply if sent else None

    proxy.replacement = replace_all
    with pytest.raises(OutcomeUnknown, match="mine") as raised:
        await behind.apply(SESSION_ID, {"n": 1}, {"action": "filter", "op_id": "mine"})
    assert (raised.value.op_id, raised.value.exit_code) == ("mine", 7)
    proxy.replacement = lambda _: None
    again = await behind.apply(SESSION_ID, {"n": 1}, {"action": "filter", "op_id": "mine"})
    assert again.action is None, "it had been applied"
