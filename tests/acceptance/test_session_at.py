"""`session show --at` and `session diff --from --to`: any moment of a session, live or archived."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli, unchanged
from support.valkey import ValkeyServer, free_port

from awictl.document.byte_layout import encode
from awictl.document.schema import new_document
from awictl.document.splice import base_from_string
from awictl.document.timestamps import timestamp
from awictl.document.update import Update, apply_update

DATA = Path(__file__).parents[1] / "data"
APP_CUT = json.loads((DATA / "session_04_over_100_actions.json").read_text(encoding="utf-8"))
START = datetime(2026, 11, 23, 12, tzinfo=UTC)


def lived(session_id: str, start: datetime = START, minutes: int = 5) -> dict[str, Any]:
    """A session of which the filter, and a note of its own, changed every minute."""
    document = new_document(session_id, "browser-1", "Browser", "/posts", timestamp(start))
    for minute in range(1, minutes + 1):
        delta = {"page_state": {"filters": {"tag": f"t{minute}"}}, f"note_{minute}": {"n": minute}}
        now = timestamp(start + timedelta(minutes=minute))
        change = apply_update(base_from_string(encode(document)), Update(delta=delta), now)
        actions = [*document["history"]["actions"], change.action]
        document = {**change.head, "history": {**change.head["history"], "actions": actions}}
    return document


def put(valkey: ValkeyServer, document: dict[str, Any]) -> str:
    session_id: str = document["session_id"]
    valkey.raw.set(f"AWI:SESSION:{session_id}", encode(document), px=1_800_000)
    return session_id


def test_the_document_as_it_was(awictl: Cli, valkey: ValkeyServer) -> None:
    session_id = put(valkey, lived("sess_a"))
    with unchanged(valkey):
        shown = awictl.ok("session", "show", session_id, "--at", "2")
    at = shown.json.pop("awi_at")
    assert at == {"t": 2, "ordinal": 2, "timestamp": timestamp(START + timedelta(minutes=2)), "unknown": []}
    then = lived("sess_a", minutes=2)
    found = {name: value for name, value in shown.json.items() if name != "awi_at"}
    for actions in (found["history"]["actions"], then["history"]["actions"], [found["history"]["last_action"]]):
        for one in actions:
            one.pop("op_id", None)
    then["history"]["last_action"].pop("op_id", None)
    assert found == then and not shown.err


@pytest.mark.parametrize(("at", "ordinal"), [("12:02:30", 2), ("2026-11-23T14:01:59+02:00", 1), ("0", 0)])
def test_times(awictl: Cli, valkey: ValkeyServer, at: str, ordinal: int) -> None:
    assert awictl.ok("session", "show", put(valkey, lived("sess_a")), "--at", at).json["awi_at"]["ordinal"] == ordinal


def test_so_long_ago(awictl: Cli, valkey: ValkeyServer) -> None:
    session_id = put(valkey, lived("sess_a", datetime.now(UTC) - timedelta(minutes=12, seconds=30)))
    assert awictl.ok("session", "show", session_id, "--at", "-9m").json["awi_at"]["ordinal"] == 3
    assert awictl.ok("session", "diff", session_id, "--from", "-9m", "--to=-8m").json["to"]["ordinal"] == 4


def test_moments_that_are_not_there(awictl: Cli, valkey: ValkeyServer) -> None:
    session_id = put(valkey, lived("sess_a"))
    awictl("session", "show", session_id, "--at", "6").error(3, "sess_a: there is no action 6: the newest is 5")
    awictl("session", "show", session_id, "--at", "2026-11-23T11:59Z").error(3, "sess_a", "2026-11-23T12:00:00.000Z")
    awictl("session", "show", session_id, "--at", "soon").error(2, "'soon' is not a moment of a session", "-5m")
    awictl("session", "show", session_id, "--at", "2", "-o", "raw").error(2, "only the present state")
    awictl("session", "show", "sess_b", "--at", "2").error(3, "sess_b")
    awictl("session", "diff", "sess_a", "sess_b", "--to", "2").error(2, "moments of one session")


def test_the_beginning_is_missing(awictl: Cli, valkey: ValkeyServer) -> None:
    """The app keeps its last 100 actions."""
    session_id = put(valkey, APP_CUT)
    shown = awictl.ok("session", "show", session_id, "--at", "110")
    assert (shown.json["awi_at"]["t"], shown.json["awi_at"]["ordinal"]) == (100, 110)
    [first, *_, last] = shown.json["history"]["actions"]
    assert first == APP_CUT["history"]["actions"][0] and last == APP_CUT["history"]["actions"][110 - 27]
    assert shown.json["statistics"]["total_actions"] == 110
    table = awictl.ok("session", "show", session_id, "--at", "110", "-o", "table").table()
    assert f"last 10 of 84 actions; all: awictl session history {session_id} --to 110 --limit 84" in table
    error = awictl("session", "show", session_id, "--at", "26").error(3, "no action 26: the newest is 126")
    assert "these are missing: 0 to 26" in error


def test_unknown_fields_are_named(awictl: Cli, valkey: ValkeyServer) -> None:
    document = lived("sess_a", minutes=9)
    history = document["history"]
    put(valkey, {**document, "history": {**history, "trimmed_actions": 2, "actions": history["actions"][2:]}})
    shown = awictl.ok("session", "show", "sess_a", "--at", "2")
    unknown = [f"/note_{minute}" for minute in range(3, 10)]
    assert sorted(shown.json["awi_at"]["unknown"]) == unknown
    assert shown.json["page_state"]["filters"] == {"tag": "t2"}, "that was set by then"
    assert "unknown after action 2 of sess_a" in shown.err and "2 more fields" in shown.err
    table = awictl.ok("session", "show", "sess_a", "--at", "2", "-o", "table").table()
    assert "as of              action 2 of 9, 2026-11-23 12:02:00.000Z" in table and "2 more fields" in table
    assert "expires in" not in table
    found = awictl.ok("session", "diff", "sess_a", "--to", "3")
    assert found.json["delta"] == {"page_state": {"filters": {"tag": "t3"}}}
    assert found.json["unknown"] == ["/note_3"] and "unknown whether it changed" in found.err


def test_several_sessions(awictl: Cli, valkey: ValkeyServer) -> None:
    for name in ("sess_a", "sess_b"):
        put(valkey, lived(name))
    shown = awictl("session", "show", "sess_a", "sess_x", "-", "--at", "1", stdin=b"sess_b\n")
    assert shown.code == 3 and [one["session_id"] for one in shown.rows] == ["sess_a", "sess_b"]
    assert {one["awi_at"]["ordinal"] for one in shown.rows} == {1}
    assert awictl.ok("session", "show", "sess_a", "sess_b", "--at", "1", "-o", "ids").text == "sess_a\nsess_b\n"


def test_archived_and_degraded(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    """An ended session with trimmed actions, and a live one while Redis is away."""
    trimming = sqlite_user.having(AWI_MAX_ACTIONS_PER_SESSION="3")
    ended, live = put(valkey, lived("sess_a", minutes=2)), put(valkey, lived("sess_b"))
    trimming.ok("session", "apply", ended, '{"page_state": {"filters": {"tag": "new"}}}')
    shown = sqlite_user.ok("session", "show", ended, "--at", "0").json
    assert len(json.loads(valkey.raw.get("AWI:SESSION:sess_a") or b"")["history"]["actions"]) < 4
    assert shown["page_state"]["filters"] == {} and not shown["awi_at"]["unknown"], "the archive has the beginning"
    sqlite_user.ok("session", "end", ended)
    found = sqlite_user.ok("session", "show", ended, "--at", "1")
    assert found.json["page_state"]["filters"] == {"tag": "t1"} and "read from the archive" in found.err
    assert "degraded" not in found.json and len(found.json["history"]["actions"]) == 2
    sqlite_user.ok("archive", "sweep", "--margin", "1d")
    away = sqlite_user.having(REDIS_PORT=str(free_port()))
    found = away.ok("session", "show", live, "--at", "1")
    assert found.json["degraded"] is True and found.json["page_state"]["filters"] == {"tag": "t1"}
    assert "Redis is unreachable and may have a newer state" in found.err
    assert away.ok("session", "diff", live, "--from", "1").json["degraded"] is True


def test_an_archive_that_cannot_be_read_is_a_notice(awictl: Cli, valkey: ValkeyServer) -> None:
    away = awictl.having(MONGODB_URI=f"mongodb://127.0.0.1:{free_port()}/x?serverSelectionTimeoutMS=100")
    shown = away.ok("session", "show", put(valkey, APP_CUT), "--at", "110", "--timeout", "1")
    assert "its earlier actions may be in the archive, which cannot be read" in shown.err


def test_differences(awictl: Cli, valkey: ValkeyServer) -> None:
    session_id = put(valkey, lived("sess_a"))
    with unchanged(valkey):
        found = awictl.ok("session", "diff", session_id, "--from", "2", "--to", "12:04:10").json
    assert found == {
        "from": {"t": 2, "ordinal": 2, "timestamp": timestamp(START + timedelta(minutes=2))},
        "to": {"t": 4, "ordinal": 4, "timestamp": timestamp(START + timedelta(minutes=4))},
        "delta": {"page_state": {"filters": {"tag": "t4"}}, "note_3": {"n": 3}, "note_4": {"n": 4}},
        "removed": [],
        "unknown": [],
    }
    back = awictl.ok("session", "diff", session_id, "--from", "4", "--to", "2").json
    assert back["delta"] == {"page_state": {"filters": {"tag": "t2"}}} and back["removed"] == ["/note_3", "/note_4"]
    whole = awictl.ok("session", "diff", session_id, "--to", "5").json
    assert (whole["from"]["ordinal"], whole["to"]["ordinal"]) == (0, 5) and "statistics" not in whole["delta"]
    every = awictl.ok("session", "diff", session_id, "--from", "0", "--all").json
    assert every["to"]["ordinal"] == 5 and every["delta"]["statistics"]["total_actions"] == 5
    table = awictl.ok("session", "diff", session_id, "--from", "4", "-o", "table").table()
    assert table.splitlines()[0].split() == ["FIELD", "BEFORE", "AFTER"] and "/page_state/filters/tag" in table
    assert awictl("session", "diff", session_id, "--from", "4", "--exit-code").code == 1
    same = awictl.ok("session", "diff", session_id, "--from", "4", "--to", "4", "--exit-code")
    assert "nothing changed between action 4 and action 4 of sess_a" in same.err


def test_archived_sessions_are_compared(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    ended = put(valkey, lived("sess_a", minutes=1))
    live = put(valkey, lived("sess_b", minutes=2))
    sqlite_user.ok("session", "end", ended)
    found = sqlite_user.ok("session", "diff", ended, live)
    assert found.json == {"delta": {"page_state": {"filters": {"tag": "t2"}}, "note_2": {"n": 2}}, "removed": []}
    assert "sess_a is read from the archive" in found.err


def test_numbers_of_actions_in_a_session_that_the_app_cut(awictl: Cli, valkey: ValkeyServer) -> None:
    """Its `t` sticks at 100: tables have the numbers that --at takes, and the history says how to get them."""
    session_id = put(valkey, APP_CUT)
    shown = awictl.on_screen("session", "show", session_id).text
    assert "126  2026-11-23" in shown and "117  2026-11-23" in shown and "100  2026" not in shown
    assert "110  2026-11-23" in awictl.on_screen("session", "show", session_id, "--at", "110").text
    page = awictl.ok("session", "history", session_id, "--limit", "2")
    assert [row["t"] for row in page.rows] == [100, 100]
    hint = f"`awictl session history {session_id} --from 0` prints the numbers"
    assert hint in page.err and hint not in awictl.ok("session", "history", put(valkey, lived("sess_b"))).err
