"""`--where` and the options that go with it: `session list --all --count --group-by`, `session end` and `touch`."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli, finish, unchanged
from support.documents import compact, document, put, replaced
from support.mongo import MongoServer
from support.terminal import on_terminal
from support.valkey import ValkeyServer, free_port

from awictl.document.byte_layout import encode
from awictl.document.timestamps import timestamp

NAMES = ("a", "b", "c", "d")


def _session(name: str, minutes: int, actions: int, tag: Any, agent: str, failed: int) -> dict[str, Any]:
    moment = timestamp(datetime.now(UTC) - timedelta(minutes=minutes))
    made = document((0,) * actions, f"sess_{name}", last_updated=moment, agent_id=f"id-{agent}", agent_name=agent)
    made["statistics"] |= {"last_activity": moment, "failed_actions": failed, "total_actions": actions}
    made["statistics"]["session_start"] = timestamp(datetime.now(UTC) - timedelta(hours=minutes))
    made = replaced(made, ("page_state", "route"), f"/{name}/posts")
    return replaced(made, ("page_state", "filters"), {"tag": tag, "names": [name, "日本"]})


@pytest.fixture
def four(valkey: ValkeyServer) -> ValkeyServer:
    """Sessions a to d, of Ann, Ann, Bob and Bob, of which d cannot be read; a and c in the app's layout."""
    for name, minutes, seconds, actions, tag, agent, failed in (
        ("a", 10, 300, 1, "awi", "Ann", 0),
        ("b", 1, 1700, 5, "awi", "Ann", 2),
        ("c", 25, 90, 3, 7, "Bob", 1),
    ):
        made = _session(name, minutes, actions, tag, agent, failed)
        put(valkey, (encode if name == "b" else compact)(made), f"sess_{name}", seconds)
    put(valkey, b'{"agent_name":"Bob"', "sess_d")
    return valkey


def ids(letters: str) -> list[str]:
    return [f"sess_{letter}" for letter in letters]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ('agent == "Ann"', "ab"),
        ('agent == "id-Bob" or actions > 4', "bc"),
        ("ttl < 5m1s and idle > 5m", "ac"),
        ('route ~ "^/[ab]/" and failed == 0', "a"),
        ('state.page_state.filters.tag == "awi"', "ab"),
        ("state.page_state.filters.tag > 6", "c"),
        ('"日本" in state.page_state.filters.names and "c" in state.page_state.filters.names', "c"),
        ("started < 5h ago and started > 20h ago", "a"),
        ('agent != "Ann"', "c"),
        ('status == "unreadable"', "d"),
        ("state.missing == null", "abc"),
        ("bytes > 1GiB", ""),
    ],
)
def test_sessions_that_match_are_listed(awictl: Cli, four: ValkeyServer, where: str, found: str) -> None:
    with unchanged(four):
        assert sorted(awictl.ok("session", "list", "-o", "ids", "--where", where).lines) == ids(found)


def test_it_is_combined_with_other_filters_orders_and_formats(awictl: Cli, four: ValkeyServer) -> None:
    listing = "session", "list", "--where", 'state.page_state.filters.tag == "awi"'
    assert awictl.ok(*listing, "--agent", "Ann", "--sort", "actions", "-o", "ids").lines == ids("ba")
    assert awictl.ok(*listing, "--idle", "5m", "-o", "ids").lines == ids("a")
    assert awictl.ok(*listing, "--sort", "id", "--limit", "1", "-o", "ids").lines == ids("a")
    plain = {row["session_id"]: row for row in awictl.ok("session", "list").rows}
    for row in awictl.ok(*listing).rows:
        same = plain[row["session_id"]]
        assert row | {"idle_ms": 0, "ttl_ms": 0} == same | {"idle_ms": 0, "ttl_ms": 0}
    csv = awictl.ok(*listing, "-o", "csv", "--columns", "session,agent", "--sort", "id").lines
    assert csv == ["session_id,agent_name", "sess_a,Ann", "sess_b,Ann"]
    shown = awictl.on_screen(*listing, "--sort", "id")
    assert "2 of 4 sessions" in shown.text and "1 session could not be read: sess_d" in shown.text
    assert "WHERE" not in shown.text and max(map(len, shown.lines[1:-1])) <= 80


def test_sessions_are_counted(awictl: Cli, four: ValkeyServer) -> None:
    counted = "session", "list", "--count"
    assert awictl.ok(*counted).json == {"sessions": 4}
    assert awictl.ok(*counted, "--where", 'agent == "Ann"').json == {"sessions": 2}
    assert awictl.ok(*counted, "--agent", "Bob").json == {"sessions": 1}
    assert awictl.ok(*counted, "--where", "actions > 1000").json == {"sessions": 0}
    assert awictl.on_screen(*counted).lines == ["4"]
    assert awictl.ok(*counted, "-o", "table").lines == ["4"]


def test_sessions_are_grouped_by_a_field(awictl: Cli, four: ValkeyServer) -> None:
    grouped = "session", "list", "--group-by"
    assert awictl.ok(*grouped, "agent").rows == [
        {"value": "Ann", "sessions": 2},
        {"value": "Bob", "sessions": 1},
        {"value": None, "sessions": 1},
    ]
    tag = "state.page_state.filters.tag"
    assert awictl.ok(*grouped, tag, "--where", "bytes > 100", "-o", "csv").lines == ["value,sessions", "awi,2", "7,1"]
    assert awictl.ok(*grouped, tag, "--agent", "Ann", "-o", "json").json == [{"value": "awi", "sessions": 2}]
    names = awictl.ok(*grouped, "state.page_state.filters.names.1", "--limit", "1")
    assert names.rows == [{"value": "日本", "sessions": 3}]
    statuses = awictl.ok(*grouped, "status")
    assert statuses.rows == [{"value": "live", "sessions": 3}, {"value": "unreadable", "sessions": 1}]
    shown = awictl.on_screen(*grouped, "agent").lines
    assert "VALUE" in shown[0] and "SESSIONS" in shown[0] and shown[2].split() == ["Ann", "2"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list", "--where", "agnet == 1"], "at column 1: there is no field agnet (did you mean agent?)"),
        (["list", "--where", ""], "at column 1: an expression was expected"),
        (["list", "--group-by", "agnt"], "there is no field agnt"),
        (["list", "--count", "--group-by", "agent"], "--count cannot be combined with --group-by"),
        (["list", "--group-by", "agent", "--sort", "ttl"], "--group-by cannot be combined with --sort"),
        (["list", "--count", "--limit", "1"], "--count cannot be combined with --limit"),
        (["end"], "no sessions were selected; pass session ids, or --where"),
        (["touch"], "no sessions were selected; pass session ids, or --where"),
        (["end", "sess_a", "--where", "ttl < 5m"], "session ids cannot be combined with --where"),
        (["touch", "sess_a", "--where", "ttl < 5m"], "session ids cannot be combined with --where"),
        (["end", "--where", "ttl < 5"], "at column 7: ttl is a duration such as 20m, and cannot be compared with 5"),
        (["end", "--where", "\0"], "at column 1"),
        (["list", "--where", "agent == '\x1b[31m' und"], "at column 18"),
        (["list", "--where", "(" * 100_000], "the expression ends"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(sqlite_user: Cli, words: list[str], message: str) -> None:
    if "\0" in words:  # no program can be passed this
        words[words.index("\0")] = "\\0"
    sqlite_user("session", *words).error(2, message)


def test_on_a_terminal_a_caret_points_at_the_column(awictl: Cli) -> None:
    shown = awictl.on_screen("session", "list", "--where", 'agent == "日本" and agnet == 1', columns=200).lines
    assert shown[1:] == ['  agent == "日本" and agnet == 1', " " * 22 + "^"]
    long = awictl.on_screen("session", "list", "--where", "ttl < 5m or " * 100 + "x\t== 1", columns=200).lines
    assert long[1].startswith("  …") and long[1].endswith("x\\t== 1") and long[2].index("^") == long[1].index("x")


# -- live and archived sessions


@pytest.fixture(params=["sqlite", "mongo", "mongo only"])
def both(request: pytest.FixtureRequest, user: Cli, valkey: ValkeyServer) -> tuple[Cli, dict[str, str]]:
    """A user of each kind of store with an ended session of Ann, a live one of Ann that is archived too, one of Bob."""
    if request.param == "sqlite":
        made = request.getfixturevalue("sqlite_user")
    else:
        mongo: MongoServer = request.getfixturevalue("mongo")
        redis = {} if request.param == "mongo only" else {"REDIS_PORT": str(valkey.port)}
        made = user.having(MONGODB_URI=mongo.uri, REDIS_HOST="127.0.0.1", **{"REDIS_PORT": "1", **redis})
        if request.param == "mongo only":
            made = made.having(AWI_USE_REDIS="false")
    ids_of: dict[str, str] = {}
    for name, agent in (("ended", "Ann"), ("live", "Ann"), ("new", "Bob")):
        created = made.ok("session", "create", "--agent", f"id-{agent}", "--name", agent).json["session_id"]
        ids_of[name] = created
        if name == "ended":
            delta = json.dumps({"page_state": {"filters": {"tag": "awi"}}})
            made.ok("session", "apply", created, delta, "--action", "filter")
            made.ok("session", "end", created)
        if name == "live":
            made.ok("archive", "sweep", "--margin", "1d")
    return made, ids_of


def test_live_and_archived_sessions_are_listed_each_once(both: tuple[Cli, dict[str, str]]) -> None:
    user, ids_of = both
    ended, live, new = ids_of["ended"], ids_of["live"], ids_of["new"]
    found = {row["session_id"]: row for row in user.ok("session", "list", "--all").rows}
    assert {name: (row["where"], row["state"]) for name, row in found.items()} == {
        ended: ("archived", "ended"),
        live: ("live", "live"),
        new: ("live", "live"),
    }
    assert len(user.ok("session", "list", "--all").rows) == 3
    row = found[ended]
    assert (row["agent_name"], row["ttl_ms"], row["failed_actions"]) == ("Ann", None, 0)
    assert row["bytes"] > 100 and row["idle_ms"] >= 0 and "degraded" not in row
    assert user.ok("session", "list", "--all", "--count").json == {"sessions": 3}
    assert user.ok("session", "list", "--all", "--count", "--agent", "Ann").json == {"sessions": 2}
    listing = "session", "list", "--all", "-o", "ids", "--sort", "id", "--where"
    assert user.ok(*listing, 'where == "archived"').lines == [ended]
    assert user.ok(*listing, 'state.page_state.filters.tag == "awi"').lines == [ended]
    assert user.ok(*listing, "state.agent_name != null and started > 1h ago and total >= 0").lines == sorted(found)
    assert user.ok("session", "list", "-o", "ids", "--where", 'where == "archived"').lines == []
    groups = user.ok("session", "list", "--all", "--group-by", "where").rows
    assert groups == [{"value": "live", "sessions": 2}, {"value": "archived", "sessions": 1}]
    csv = user.ok("session", "list", "--all", "-o", "csv", "--columns", "session,where", "--sort", "agent").lines
    assert sorted(csv) == sorted(["session_id,where", f"{ended},archived", f"{live},live", f"{new},live"])
    narrow = user.on_screen("session", "list", "--all", "--sort", "id", columns=72).lines[0]
    assert "STATE" in narrow and "IDLE" not in narrow, "STATE says more than IDLE"
    shown = user.on_screen("session", "list", "--all", "--sort", "id")
    assert "WHERE" in shown.lines[0] and max(map(len, shown.lines[1:])) <= 80
    assert [line for line in shown.lines if ended in line and "archived" in line] and "3 sessions" in shown.text


def test_without_redis_the_archive_is_listed_and_marked(sqlite_user: Cli) -> None:
    session_id = sqlite_user.ok("session", "create", "--agent", "id-1").json["session_id"]
    sqlite_user.ok("archive", "sweep", "--margin", "1d")
    away = sqlite_user.having(REDIS_PORT=str(free_port()))
    listed = away.ok("session", "list", "--all")
    assert [(one["session_id"], one["where"], one["degraded"]) for one in listed.rows] == [
        (session_id, "archived", True)
    ]
    assert "only what the archive has is selected" in listed.err and "cannot reach Redis" in listed.err
    assert away.ok("session", "list", "--all", "--count", "--where", "ttl < 5m").json == {"sessions": 0}
    away("session", "list", "--where", "ttl < 5m").error(5, "cannot reach Redis")
    ended = away("session", "end", "--where", "ttl < 5m", "--yes")
    assert ended.code == 5 and "0 done" in ended.err and "cannot reach Redis" in ended.err


def test_all_without_an_archive(awictl: Cli, sqlite_user: Cli, valkey: ValkeyServer) -> None:
    put(valkey, encode(document((0,), "sess_1")), "sess_1")
    listed = awictl.ok("session", "list", "--all")
    assert [(row["session_id"], row["where"]) for row in listed.rows] == [("sess_1", "live")]
    assert listed.err == "no archive is configured: only live sessions are selected\n"
    sqlite_user("session", "list", "--all").error(3, "there is no archive")


# -- end and touch


def test_sessions_that_match_end(sqlite_user: Cli, four: ValkeyServer) -> None:
    end = "session", "end", "--where", 'agent == "Ann"'
    server = f"redis://127.0.0.1:{four.port}/0"
    with unchanged(four):
        dry = sqlite_user.ok(*end, "--dry-run", "-o", "ids")
        assert sorted(dry.lines) == ids("ab") and "dry run: nothing was written" in dry.err
        sqlite_user(*end).error(4, f"End 2 sessions at {server}? stdin is not a terminal; pass --yes to confirm")
        awictl_without_archive = sqlite_user.lacking("AWI_ARCHIVE_URL")
        awictl_without_archive(*end, "--yes").error(4, "no archive is configured")
        sqlite_user.having(AWI_READ_ONLY="1")(*end, "--yes").error(4, "read-only")
    assert sorted(sqlite_user.ok(*end, "--yes", "-o", "ids").lines) == ids("ab")
    assert sorted(sqlite_user.ok("session", "list", "-o", "ids").lines) == ids("cd")
    again = sqlite_user.ok(*end)
    assert (again.text, again.err) == ("", "no session matches\n")
    assert sorted(sqlite_user.ok("archive", "list", "-o", "ids").lines) == ids("ab")


def test_sessions_that_match_are_discarded(awictl: Cli, four: ValkeyServer) -> None:
    discard = "session", "end", "--discard", "--where", 'agent == "Bob" or status == "unreadable"'
    awictl(*discard).error(4, f"Delete 2 sessions without archiving from redis://127.0.0.1:{four.port}/0?")
    assert sorted(awictl.ok(*discard, "--yes", "-o", "ids").lines) == ids("cd")
    assert sorted(awictl.ok("session", "list", "-o", "ids").lines) == ids("ab")


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, 2), ("y", 0, 0)])
def test_a_terminal_is_asked_with_the_number(
    sqlite_user: Cli, four: ValkeyServer, answer: str, code: int, left: int
) -> None:
    with on_terminal(sqlite_user, "session", "end", "--where", 'agent == "Ann"', columns=80) as terminal:
        terminal.until("End 2 sessions at redis://", "[y/N]")
        terminal.press(answer, "\r")
        assert terminal.end() == code
    assert sqlite_user.ok("session", "list", "--count", "--where", 'agent == "Ann"').json == {"sessions": left}


def test_sessions_that_match_are_touched(awictl: Cli, four: ValkeyServer) -> None:
    touch = "session", "touch", "--ttl", "2h", "--where", "ttl < 10m"
    with unchanged(four):
        dry = awictl.ok(*touch, "--dry-run")
        assert sorted(row["session_id"] for row in dry.rows) == ids("ac") and "nothing was written" in dry.err
        awictl(*touch).error(
            4, f"Extend the TTL of 2 sessions at redis://127.0.0.1:{four.port}/0?", "stdin is not a terminal"
        )
        assert awictl.ok("session", "touch", "sess_b", "--dry-run").json["session_id"] == "sess_b"
    assert sorted(awictl.ok(*touch, "--yes", "-o", "ids").lines) == ids("ac")
    assert 7_100 < four.raw.ttl("AWI:SESSION:sess_a") <= 7_200 and four.raw.ttl("AWI:SESSION:sess_b") <= 1_700
    assert awictl.ok(*touch).err == "no session matches\n"


def test_help_shows_examples(awictl: Cli) -> None:
    for verb in ("list", "end", "touch"):
        assert "--where '" in awictl.ok("session", verb, "--help").text


def test_an_interrupted_end_is_resumed_by_running_it_again(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    raw = encode(document((0,) * 3, "sess_000"))
    for number in range(80):
        put(valkey, raw.replace(b"sess_000", b"sess_%03d" % number), f"sess_{number:03}")
    end = "session", "end", "--where", 'session ~ "^sess_[0-9]+$"', "--yes"
    process = sqlite_user.start(*end, "-o", "ids")
    assert process.stdout is not None
    done = [process.stdout.readline() for _ in range(5)]
    process.send_signal(signal.SIGINT)
    interrupted = finish(process)
    done += interrupted.out.splitlines(keepends=True)
    assert interrupted.code == 130 and "done" in interrupted.err and 5 <= len(done) < 80
    left = sqlite_user.ok("session", "list", "--count").json["sessions"]
    assert 0 < left <= 80 - len(done)
    again = sqlite_user.ok(*end, "-o", "ids")
    sqlite_user.ok("archive", "sweep")  # finishes what was being ended
    assert len({*done, *again.out.splitlines(keepends=True)}) >= len(done) + left
    assert sqlite_user.ok("session", "list", "--count").json == {"sessions": 0}
    assert len(sqlite_user.ok("archive", "list", "--all", "-o", "ids").lines) == 80


def test_an_unreachable_archive_is_reported_after_the_live_sessions(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, encode(document((0,))))
    away = awictl.having(MONGODB_URI=f"mongodb://127.0.0.1:{free_port()}/awi")
    listed = away("session", "list", "--all", "-o", "ids", "--timeout", "0.5")
    assert listed.code == 5 and len(listed.lines) == 1 and "cannot reach MongoDB" in listed.err


def test_hostile_values_are_grouped(awictl: Cli, valkey: ValkeyServer) -> None:
    names = ["\x1b[31m", "a\nb", "\u202e", "x" * 300]
    for number, name in enumerate(names):
        put(valkey, encode(document((0,), f"sess_{number}", agent_name=name)), f"sess_{number}")
    put(valkey, b'{"session_id":"sess_9","agent_name":"\\ud800","history":{"actions":[]}}', "sess_9")
    assert {row["value"] for row in awictl.ok("session", "list", "--group-by", "agent_name").rows} == {*names, "\ud800"}
    shown = awictl.on_screen("session", "list", "--group-by", "agent_name")
    assert b"\x1b[31m" not in shown.out and len(shown.lines) == 7
    assert awictl.ok("session", "list", "--count", "--where", 'agent_name ~ "^\\ud800$"').json == {"sessions": 1}


def used_cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")


def test_ctrl_c_ends_a_regular_expression_that_does_not(awictl: Cli, valkey: ValkeyServer) -> None:
    """It keeps the event loop and all other threads from running."""
    put(valkey, encode(document((0,), agent_name="a" * 60 + "!")))
    process = awictl.start("session", "list", "--where", 'agent ~ "^(a+)+$"')
    while used_cpu(process.pid) < 1:  # several times what a start takes
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert finish(process).error(130, "interrupted")
