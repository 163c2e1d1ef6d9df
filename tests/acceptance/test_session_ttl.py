"""TTLs that the caller chooses: `session create --ttl`, `session touch --ttl`, and the same in the library."""

from __future__ import annotations

import pytest
from support.cli import Cli, unchanged
from support.valkey import ValkeyServer

from awictl import InvalidInput, StateManager

HOUR_MS = 3_600_000
MINUTE_MS = 60_000


def ttls(valkey: ValkeyServer, session_id: str, agent_id: str) -> list[int]:
    return [valkey.raw.pttl(f"AWI:SESSION:{session_id}"), valkey.raw.pttl(f"AGENT:SESSION:{agent_id}")]


def test_create_with_a_ttl_lasts_until_the_first_update(awictl: Cli, valkey: ValkeyServer) -> None:
    session_id = awictl.ok("session", "create", "--agent", "a", "--ttl", "2h", "-o", "ids").text.strip()
    assert all(HOUR_MS < left <= 2 * HOUR_MS for left in ttls(valkey, session_id, "a"))
    awictl.ok("session", "apply", session_id, "{}")
    assert all(20 * MINUTE_MS < left <= 30 * MINUTE_MS for left in ttls(valkey, session_id, "a"))


@pytest.mark.parametrize(("ttl", "ttl_ms"), [("2h", 2 * HOUR_MS), ("10m", 10 * MINUTE_MS)])
def test_touch_with_a_ttl_sets_exactly_that(awictl: Cli, valkey: ValkeyServer, ttl: str, ttl_ms: int) -> None:
    session_id = awictl.ok("session", "create", "--agent", "a", "-o", "ids").text.strip()
    row = awictl.ok("session", "touch", session_id, "--ttl", ttl).rows[0]
    assert row == {"session_id": session_id, "ttl_ms": ttl_ms}
    assert all(ttl_ms - MINUTE_MS < left <= ttl_ms for left in ttls(valkey, session_id, "a"))


@pytest.mark.parametrize("ttl", ["0s", "999ms", "366d", "-1h", "soon", ""])
def test_a_ttl_out_of_bounds_is_refused(awictl: Cli, valkey: ValkeyServer, ttl: str) -> None:
    session_id = awictl.ok("session", "create", "--agent", "a", "-o", "ids").text.strip()
    with unchanged(valkey):
        awictl("session", "touch", session_id, f"--ttl={ttl}").error(2, "--ttl")
        awictl("session", "create", "--agent", "b", f"--ttl={ttl}").error(2, "--ttl")


def test_a_session_without_a_ttl_gets_none(awictl: Cli, valkey: ValkeyServer) -> None:
    """It may wait to be archived, and must not expire before. No TTL is reported then."""
    session_id = awictl.ok("session", "create", "--agent", "a", "-o", "ids").text.strip()
    valkey.raw.persist(f"AWI:SESSION:{session_id}")
    touched = awictl("session", "touch", session_id, "--ttl", "10m")
    assert touched.error(4, "has no TTL") and touched.out == b""
    assert valkey.raw.pttl(f"AWI:SESSION:{session_id}") == -1


async def test_the_library_takes_milliseconds(manager: StateManager, valkey: ValkeyServer) -> None:
    document = await manager.initialize_session("a", "A", ttl_ms=2 * HOUR_MS)
    session_id = document["session_id"]
    assert all(HOUR_MS < left <= 2 * HOUR_MS for left in ttls(valkey, session_id, "a"))
    await manager.touch_session(session_id, ttl_ms=10 * MINUTE_MS)
    assert all(0 < left <= 10 * MINUTE_MS for left in ttls(valkey, session_id, "a"))
    await manager.touch_sessions([session_id])
    assert all(left > 10 * MINUTE_MS for left in ttls(valkey, session_id, "a"))
    for ttl_ms in (0, 999, -1, 2.5, True, 366 * 24 * HOUR_MS):
        with pytest.raises(InvalidInput, match="TTL"):
            await manager.touch_session(session_id, ttl_ms=ttl_ms)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match="TTL"):
            await manager.create_session("b", "B", ttl_ms=ttl_ms)  # type: ignore[arg-type]
