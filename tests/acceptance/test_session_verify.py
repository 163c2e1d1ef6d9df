"""`awictl session verify`."""

from __future__ import annotations

from pathlib import Path

from support.cli import Cli, unchanged
from support.documents import put, replaced
from support.valkey import ValkeyServer

from awictl.document.byte_layout import encode
from awictl.document.schema import new_document

NOW = "2026-11-23T07:09:41.403Z"


def damaged(session_id: str) -> bytes:
    made = new_document(session_id, "agent", "Agent", "/", NOW)
    return encode(replaced(made, ["permissions", "can_view_sensitive_info"], True))


def test_sound_sessions_exit_with_0_and_others_with_1(awictl: Cli, valkey: ValkeyServer) -> None:
    for number in range(3):
        awictl.ok("session", "create", "--agent", f"browser-{number}", "-q")
    result = awictl.ok("session", "verify", "--all")
    rows = result.rows
    assert [(one["where"], one["actions"], one["sound"], one["differences"]) for one in rows] == [
        ("live", 1, True, [])
    ] * 3
    assert result.err == "3 sessions verified (only live ones: no archive is configured), no differences\n"

    put(valkey, damaged("sess_bad"), "sess_bad")
    result = awictl("session", "verify", "--all", "--differing", "-o", "ids")
    assert (result.code, result.text) == (1, "sess_bad\n")
    assert "no archive is configured): 1 with differences" in result.err
    result = awictl("session", "verify", "sess_bad", "-o", "json")
    assert result.code == 1 and result.err == ""
    [row] = result.json
    assert row["differences"] == [
        {
            "kind": "state",
            "pointer": "/permissions/can_view_sensitive_info",
            "ordinal": None,
            "t": None,
            "expected": False,
            "found": True,
            "text": "/permissions/can_view_sensitive_info is true, but no action set it, and a new session has false",
        }
    ]
    table = awictl("session", "verify", "sess_bad", "-o", "table")
    assert table.code == 1 and " state " in table.text and "no action set it" in table.text


def test_selected_sessions_and_errors(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, damaged("sess_bad"), "sess_bad")
    put(valkey, b"{", "sess_broken")
    made = awictl.ok("session", "create", "--agent", "browser-1", "-o", "ids", "-q").text
    awictl("session", "verify").error(2, "no sessions were selected; pass session ids, or --where or --all")
    awictl("session", "verify", "sess_missing").error(3, "sess_missing")
    result = awictl("session", "verify", "-", stdin=f"{made}sess_bad\nsess_missing\n".encode())
    assert result.code == 1 and [one["sound"] for one in result.rows] == [True, False]
    assert "sess_missing" in result.err and "2 sessions verified: 1 with differences" in result.err
    result = awictl.ok("session", "verify", "--where", 'agent == "browser-1"')
    assert [one["session_id"] for one in result.rows] == [made.strip()]
    result = awictl("session", "verify", "sess_broken")
    assert result.code == 1 and result.rows[0]["differences"][0]["kind"] == "unreadable"


def test_an_archived_session(awictl: Cli, valkey: ValkeyServer, tmp_path: Path) -> None:
    with_archive = awictl.having(AWI_ARCHIVE_URL=f"sqlite:///{tmp_path}/archive.db")
    made = with_archive.ok("session", "create", "--agent", "browser-1", "-o", "ids", "-q").text.strip()
    with_archive.ok("session", "end", "--yes", made)
    with unchanged(valkey):
        [row] = with_archive.ok("session", "verify", "--all").rows
    assert (row["session_id"], row["where"], row["actions"], row["sound"]) == (made, "archived", 2, True)
