"""What the commands report of archived sessions that are incomplete: gaps, overwritten actions, and their states."""

from __future__ import annotations

import asyncio
import copy
import re
from typing import Any

import pytest
from support.archives import NOW, ended, saved, session, snapshot, stamp
from support.cli import Cli
from support.documents import app_updated

from awictl.archive.base import GoneSession
from awictl.archive.decision import ArchivedState
from awictl.archive.sqlite.archive import SqliteArchive

GAP, OVERWRITTEN, VANISHED, WHOLE = "sess_gap", "sess_overwritten", "sess_vanished", "sess_whole"
NAMES = [GAP, OVERWRITTEN, VANISHED, WHOLE]
ROW = {"from": 5, "to": 24, "count": 20}


@pytest.fixture
def user(awictl: Cli) -> Cli:
    """A user with an archive of a session with a gap, one with overwritten actions, a vanished and a whole one."""
    asyncio.run(fill(SqliteArchive(awictl.home / "archive.db", 5)))
    return awictl.having(AWI_ARCHIVE_URL="sqlite:///archive.db")


async def fill(archive: SqliteArchive) -> None:
    gap = session(5, GAP)
    await saved(archive, snapshot(gap))
    await saved(archive, snapshot(ended(app(gap, 120))))
    base = session(5, OVERWRITTEN)
    await saved(archive, snapshot(app(base, 3)))
    await saved(archive, snapshot(app(base, 4, action="search")))
    await saved(archive, snapshot(session(2, VANISHED)), snapshot(ended(session(2, WHOLE))))
    gone = [one async for one in archive.live("") if one.session_id == VANISHED]
    assert await archive.mark_gone([GoneSession(gone[0], ArchivedState.VANISHED, None)]) == 1


def app(document: dict[str, Any], count: int, **fields: Any) -> dict[str, Any]:
    """Return a copy of a session after updates of the app."""
    made = copy.deepcopy(document)
    for number in range(count):
        app_updated(made, stamp(10 + number), **fields)
    return made


def test_the_list_has_states_and_numbers_of_missing_actions(user: Cli) -> None:
    rows = {row["session_id"]: row for row in user.ok("archive", "list").rows}
    assert {name: row["state"] for name, row in rows.items()} == {
        GAP: "ended",
        OVERWRITTEN: "live",
        VANISHED: "vanished",
        WHOLE: "ended",
    }
    assert {name: row["active"] for name, row in rows.items()} == {
        GAP: False,
        OVERWRITTEN: True,
        VANISHED: False,
        WHOLE: False,
    }
    assert [rows[name]["missing_actions"] for name in NAMES] == [20, 0, 0, 0]
    assert [rows[name]["overwritten_actions"] for name in NAMES] == [0, 3, 0, 0]
    assert rows[GAP]["gaps"] == [ROW] and rows[WHOLE]["gaps"] == []
    assert all(row["last_seen_at"] is not None for row in rows.values())
    table = user.on_screen("archive", "list", columns=140).text
    [head, *lines] = [one for one in table.splitlines() if "STATE" in one or "sess_" in one]
    by_name = {line.split()[0]: line for line in lines}
    assert "vanished" in by_name[VANISHED] and "live" in by_name[OVERWRITTEN] and "ended" in by_name[WHOLE]
    place = head.index("MISSING")
    assert by_name[GAP][place:].split()[0] == "20" and by_name[WHOLE][place:].split()[0] == "-"


def test_show_reports_what_is_missing(user: Cli) -> None:
    shown = user.ok("archive", "show", GAP)
    assert "20 actions of sess_gap are missing (5 to 24" in shown.err and shown.err.count("\n") == 1
    assert shown.json["history"]["trimmed_actions"] == 20 and "gaps" not in shown.json, "the document as it is"
    assert user.ok("archive", "show", GAP, "-q").err == ""
    assert "3 actions of sess_overwritten were overwritten" in user.ok("archive", "show", OVERWRITTEN).err
    assert "sess_vanished vanished from Redis" in user.ok("archive", "show", VANISHED).err
    assert user.ok("archive", "show", WHOLE).err == ""
    assert "5 to 24" in user.ok("session", "show", GAP).err
    several = user.ok("archive", "show", *NAMES)
    assert several.err.count("\n") == 3 and len(several.rows) == 4


def test_the_table_of_a_session_has_its_state_and_what_is_missing(user: Cli) -> None:
    def fields(name: str) -> dict[str, str]:
        screen = user.on_screen("archive", "show", name, "-q", columns=120).text
        lines = re.sub("\x1b\\[[0-9;]*m", "", screen).splitlines()
        return {line[:17].strip(): line[17:].strip() for line in lines if line[:17].strip()}

    gap, overwritten, vanished, whole = map(fields, NAMES)
    assert gap["missing"] == "20 actions: 5 to 24 (counted from 0)"
    assert overwritten["overwritten"] == "3 actions"
    assert vanished["state"].startswith("vanished, last seen 20")
    assert whole["state"] == "ended" and not {"missing", "overwritten"} & whole.keys()


def test_the_history_reports_what_is_missing(user: Cli) -> None:
    history = user.ok("session", "history", GAP, "--limit", "500", "-o", "json")
    assert "20 actions of sess_gap are missing (5 to 24" in history.err
    assert "were trimmed" not in history.err, "what the archive has is here"
    assert (history.json["total"], history.json["gaps"]) == (106, [ROW])
    assert len(history.json["trajectory"]) == 106
    overwritten = user.ok("session", "history", OVERWRITTEN, "-o", "json")
    assert "3 actions of sess_overwritten were overwritten" in overwritten.err
    assert overwritten.json["gaps"] == []


def test_exports_report_what_is_missing(user: Cli) -> None:
    rows = {row["session_id"]: row for row in user.ok("archive", "export").rows}
    assert rows[GAP].pop("awi_archive") == {
        "state": "ended",
        "last_seen_at": rows_of(user)[GAP]["last_seen_at"],
        "missing_actions": 20,
        "gaps": [ROW],
        "overwritten_actions": 0,
    }
    assert rows[OVERWRITTEN]["awi_archive"]["overwritten_actions"] == 3
    assert rows[VANISHED]["awi_archive"]["state"] == "vanished"
    assert rows[GAP] == user.ok("archive", "show", GAP, "-q").json
    assert rows[WHOLE] == user.ok("archive", "show", WHOLE).json, "nothing to report"


def test_exported_actions_begin_with_the_gaps(user: Cli) -> None:
    lines = user.ok("archive", "export", "--actions", GAP, WHOLE).rows
    assert lines[0] == {"session_id": GAP, "agent_id": lines[1]["agent_id"], "gap": ROW}
    assert [one for one in lines if "gap" in one] == lines[:1]
    assert sum(one["session_id"] == GAP for one in lines) == 1 + 106


def rows_of(user: Cli) -> dict[str, Any]:
    return {row["session_id"]: row for row in user.ok("archive", "list").rows}


def test_statistics_count_what_is_missing(user: Cli) -> None:
    found = user.ok("archive", "stats", "-o", "json").json
    assert found["states"] == {"live": 1, "ended": 2, "expired": 0, "vanished": 1}
    assert (found["sessions_with_gaps"], found["missing_actions"], found["overwritten_actions"]) == (1, 20, 3)
    screen = user.on_screen("archive", "stats", columns=100).text
    assert "4 (1 live, 2 ended, 1 vanished)" in screen
    assert "20 actions, in 1 session" in screen and "3 actions" in screen
    whole = user.on_screen("archive", "stats", "--until", NOW.isoformat(), columns=100).text
    assert "missing" not in whole
