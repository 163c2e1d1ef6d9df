"""The live sessions of one agent, also those that its mapping does not point to."""

from __future__ import annotations

from support.documents import compact, document, put
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.document.byte_layout import encode
from awictl.sessions.live_by_agent import live_sessions_of


async def test_all_live_sessions_of_an_agent_are_found_the_latest_first(
    manager: StateManager, valkey: ValkeyServer
) -> None:
    for number, (agent_id, layout) in enumerate([("a", encode), ("a", compact), ("b", encode), ("a", encode)]):
        made = document([0], f"sess_{number}", agent_id=agent_id)
        made["statistics"]["last_activity"] = f"2026-11-23T10:00:0{number}.000Z"
        put(valkey, layout(made), f"sess_{number}")
    ended = document([0], "sess_ended", agent_id="a")
    ended["history"]["last_action"] = {"t": 1, "action": "session_end", "input": {}, "delta": {}}
    ended["history"]["actions"].append(ended["history"]["last_action"])
    put(valkey, encode(ended), "sess_ended")
    valkey.raw.set("AGENT:SESSION:a", "sess_0")
    found = await live_sessions_of(manager.store, "a")
    assert [one.session_id for one in found] == ["sess_3", "sess_1", "sess_0"]
    assert await live_sessions_of(manager.store, "c") == []
