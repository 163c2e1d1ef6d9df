"""`session apply --dry-run`, and warnings about deltas that are probably a mistake."""

from __future__ import annotations

import json

import pytest
from support.cli import Cli, unchanged
from support.documents import SESSION_ID, compact, document, put
from support.valkey import ValkeyServer

from awictl import NoSession, StateManager

DELTA = '{"page_state":{"route":"/new","filters":{"tag":"awi"}}}'


@pytest.fixture(autouse=True)
def one_session(valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0], page_state={"route": "/old", "filters": {"page": 1}})))


def test_a_dry_run_shows_what_would_change_and_writes_nothing(awictl: Cli, valkey: ValkeyServer) -> None:
    for user in (awictl, awictl.having(AWI_READ_ONLY="1")):
        with unchanged(valkey):
            result = user.ok("session", "apply", SESSION_ID, DELTA, "--dry-run", "--action", "go")
        row = result.json
        assert row["session_id"] == SESSION_ID
        assert row["changes"] == {"page_state": {"route": "/new", "filters": {"tag": "awi"}}}
        assert row["state"]["page_state"] == {"route": "/new", "filters": {"page": 1, "tag": "awi"}}
        assert row["state"]["history"]["last_action"]["action"] == "go"
        assert "nothing was written" in result.err
    applied = awictl.ok("session", "apply", SESSION_ID, DELTA, "--action", "go").json
    assert applied["page_state"] == row["state"]["page_state"]


def test_a_dry_run_on_a_terminal_shows_the_fields_side_by_side(awictl: Cli, valkey: ValkeyServer) -> None:
    with unchanged(valkey):
        table = awictl.ok("session", "apply", SESSION_ID, DELTA, "--dry-run", "-o", "table").table()
    assert "BEFORE" in table and "AFTER" in table
    assert any(line.split() == ["/page_state/route", "/old", "/new"] for line in table.splitlines())
    assert any(line.split() == ["/page_state/filters/tag", "-", "awi"] for line in table.splitlines())
    assert "/statistics" not in table


def test_a_dry_run_fails_as_the_update_would(awictl: Cli, valkey: ValkeyServer) -> None:
    with unchanged(valkey):
        awictl("session", "apply", "sess_missing", "{}", "--dry-run").error(3, "sess_missing")
        awictl("session", "apply", SESSION_ID, '{"session_id":"x"}', "--dry-run").error(2, "session_id")
        awictl("session", "apply", SESSION_ID, "[]", "--dry-run").error(2, "object")
        same = awictl.ok("session", "apply", SESSION_ID, '{"page_state":{"route":"/old"}}', "--dry-run")
    assert same.json["changes"] == {} and "would change nothing" in same.err


@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["applied", "dry"])
@pytest.mark.parametrize(
    ("delta", "fragments"),
    [
        ({"page_state": None}, ["/page_state", "by null"]),
        ({"page_state": {"filters": [1]}}, ["/page_state/filters", "by an array"]),
        ({"page_stat": {}}, ["'page_stat'", "did you mean page_state?"]),
        ({"\x1b[2J": 1}, ["top-level field"]),
    ],
)
def test_a_delta_that_is_probably_a_mistake_is_warned_about(
    awictl: Cli, delta: dict[str, object], fragments: list[str], more: list[str]
) -> None:
    words = ("session", "apply", SESSION_ID, json.dumps(delta), *more)
    err = awictl.ok(*words).err
    [line] = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert all(fragment in line for fragment in fragments), line
    assert "\x1b" not in err


def test_quiet_silences_the_warnings(awictl: Cli) -> None:
    assert awictl.ok("session", "apply", SESSION_ID, '{"page_state":null}', "-q").err == ""


@pytest.mark.parametrize(
    "delta",
    [
        {"page_state": {"filters": {"tag": 1}, "new": {}}},
        {"current_url": "/x", "media_cache": {}, "permissions": {}},
        {"page_state": {"route": None}},
    ],
)
def test_usual_deltas_are_not_warned_about(awictl: Cli, delta: dict[str, object]) -> None:
    assert awictl.ok("session", "apply", SESSION_ID, json.dumps(delta)).err == ""


def test_a_field_that_the_session_already_has_is_not_warned_about(awictl: Cli) -> None:
    assert awictl.ok("session", "apply", SESSION_ID, '{"custom":{"a":1}}').err != ""
    assert awictl.ok("session", "apply", SESSION_ID, '{"custom":{"b":2}}').err == ""


async def test_the_library_can_preview_an_update(manager: StateManager, valkey: ValkeyServer) -> None:
    with unchanged(valkey):
        found = await manager.preview(SESSION_ID, {"n": 1}, {"action": "count"})
        with pytest.raises(NoSession):
            await manager.preview("sess_missing", {})
    assert found.before is not None and "n" not in found.before
    assert found.head["n"] == 1 and found.action is not None and found.action["action"] == "count"
