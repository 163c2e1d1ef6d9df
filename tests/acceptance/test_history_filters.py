"""`session history` with filters and ranges: live, archived, with gaps, and while new actions are recorded."""

from __future__ import annotations

import asyncio
import copy
import json
import signal
from typing import Any

import pytest
from support.archives import ended, saved, session, snapshot, stamp
from support.cli import LIMIT_SECONDS, Cli, unchanged
from support.documents import SESSION_ID, app_updated, compact, document, put, session_key
from support.valkey import ValkeyServer

from awictl.archive.sqlite.archive import SqliteArchive
from awictl.document.byte_layout import encode

HISTORY = ["session", "history", SESSION_ID]


def varied(count: int = 40) -> dict[str, Any]:
    """A session whose actions have different names, outcomes, texts and times: action t is at 12:00 + t minutes."""
    made = document([0] * count)
    for t, one in enumerate(made["history"]["actions"]):
        one["timestamp"] = stamp(60 * t)
        if t % 10 == 5:
            one |= {"action": "search", "input": {"q": f"term {t}"}, "success": t % 20 != 5}
        if t % 10 == 6:
            one |= {"action": "get_post", "observation": 'The "Article"'}
    made["history"]["last_action"] = made["history"]["actions"][-1]
    return made


@pytest.fixture
def live(awictl: Cli, valkey: ValkeyServer) -> Cli:
    put(valkey, encode(varied()))
    return awictl


def numbers(user: Cli, *words: str) -> list[int]:
    """The numbers of the actions that a command prints."""
    return [row["t"] for row in user.ok(*HISTORY, *words).rows]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--action", "search"], [35, 25, 15, 5]),
        (["--action", "sea*", "--action", "get_post"], [36, 35, 26, 25, 16, 15, 6, 5]),
        (["--action", "search", "--failed"], [25, 5]),
        (["--grep", "term 1"], [15]),
        (["--grep", 'the "article"', "-i"], [36, 26, 16, 6]),
        (["--grep", 'the "article"'], []),
        (["--since", "2026-11-23T12:35"], [39, 38, 37, 36, 35]),
        (["--since", "2026-11-23T12:35", "--until", "2026-11-23T12:37"], [36, 35]),
        (["--from", "17", "--to", "20"], [20, 19, 18, 17]),
        (["--from", "12:36:30", "--to", "38"], [38, 37]),
        (["--to", "2", "--oldest-first"], [0, 1, 2]),
        (["--reverse", "--limit", "3"], [0, 1, 2]),
        (["--action", "search", "--limit", "2", "--offset", "1"], [25, 15]),
        (["--action", "search", "--limit", "2", "--oldest-first"], [5, 15]),
        (["--from", "99"], []),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_filters_and_ranges(live: Cli, words: list[str], expected: list[int]) -> None:
    assert numbers(live, *words) == expected


def test_the_rows_are_the_stored_actions_and_nothing_is_written(live: Cli, valkey: ValkeyServer) -> None:
    actions = varied()["history"]["actions"]
    with unchanged(valkey):
        found = live.ok(*HISTORY, "--failed", "-o", "json")
        table = live.on_screen(*HISTORY, "--action", "search", "--limit", "3").text
    assert found.json == {
        "session_id": SESSION_ID,
        "total": 40,
        "matching": 2,
        "limit": 20,
        "offset": 0,
        "gaps": [],
        "trajectory": [actions[25], actions[5]],
    }
    assert found.err == ""
    assert "3 of 4 matching actions" in table and "term 35" in table and "term 5" not in table
    assert "no action matches" in live.on_screen(*HISTORY, "--grep", "nowhere").text


def test_actions_that_left_redis_are_found_in_the_archive(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    user = sqlite_user.having(AWI_MAX_ACTIONS_PER_SESSION="10")
    put(valkey, encode(varied(20)))
    for number in range(3):  # the first of them trims
        user.ok("session", "apply", SESSION_ID, "--action", f"more {number}")
    assert len(user.ok(*HISTORY, "--limit", "99").rows) < 20
    assert numbers(user, "--action", "search") == [15, 5]
    assert numbers(user, "--oldest-first", "--limit", "99") == [*range(23)]
    assert user.ok(*HISTORY, "--action", "search").err == ""
    user.ok("session", "end", SESSION_ID)
    archived = user.ok(*HISTORY, "--action", "search")
    assert [row["t"] for row in archived.rows] == [15, 5]
    assert "is read from the archive" in archived.err


def test_an_archive_that_cannot_be_read_is_a_notice(awictl: Cli, valkey: ValkeyServer) -> None:
    made = varied(20)
    made["history"] |= {"actions": made["history"]["actions"][10:], "trimmed_actions": 10}
    put(valkey, encode(made))
    user = awictl.having(MONGODB_URI="mongodb://127.0.0.1:1/awi", AWI_FALLBACK="false")
    found = user.ok(*HISTORY, "--action", "search", "--timeout", "0.5", "-o", "json")
    assert [row["t"] for row in found.json["trajectory"]] == [15]
    assert found.json["gaps"] == [{"from": 0, "to": 9, "count": 10}]
    assert "127.0.0.1:1" in found.err and "(counted from 0)" in found.err


def test_gaps_and_ordinals_of_a_session_that_the_app_cut(awictl: Cli) -> None:
    """Its `t` sticks at 100; actions 5 to 24 were gone before they were archived."""
    first = session(5, SESSION_ID)
    cut = copy.deepcopy(first)
    for number in range(120):
        app_updated(cut, stamp(10 + number))

    async def fill() -> None:
        archive = SqliteArchive(awictl.home / "archive.db", 5)
        await saved(archive, snapshot(first))
        await saved(archive, snapshot(ended(cut)))
        await archive.close()

    asyncio.run(fill())
    user = awictl.having(AWI_ARCHIVE_URL="sqlite:///archive.db")
    found = user.ok(*HISTORY, "--from", "3", "--to", "26", "--oldest-first")
    assert [row.get("ordinal", row["t"]) for row in found.rows] == [3, 4, 25, 26]
    assert "(5 to 24" in found.err
    late = user.ok(*HISTORY, "--from", "123", "--to", "124", "-o", "json").json
    assert [(row["t"], row.get("ordinal")) for row in late["trajectory"]] == [(100, 124), (100, 123)]
    assert late["gaps"] == [{"from": 5, "to": 24, "count": 20}]
    table = user.ok(*HISTORY, "--from", "122", "--to", "124", "-o", "csv").lines
    assert table[0].endswith(",ordinal") and [line.rpartition(",")[2] for line in table[1:]] == ["124", "123", "122"]
    assert "124  " in user.on_screen(*HISTORY, "--from", "123", "--to", "124").text


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        (["--from", "x"], ["--from: 'x' is not a moment"]),
        (["--to", "99:99"], ["--to: '99:99' is not a moment"]),
        (["--since", "x"], ["'x' is not a time"]),
        (["-i"], ["--ignore-case requires --grep"]),
        (["-f", "--from", "1"], ["--follow and --from cannot be combined"]),
        (["-f", "--to", "1"], ["--follow and --to cannot be combined"]),
        (["-f", "--until", "1d"], ["--follow and --until cannot be combined"]),
        (["-f", "--oldest-first"], ["omit --oldest-first"]),
    ],
    ids=lambda words: " ".join(words),
)
def test_usage_errors(live: Cli, words: list[str], fragments: list[str]) -> None:
    result = live(*HISTORY, *words)
    assert result.code == 2 and not result.out
    assert all(one in " ".join(result.err.replace("│", "").split()) for one in fragments), result.err


def test_five_minutes_ago_is_a_value_and_not_an_option(live: Cli) -> None:
    """The actions are of a fixed day, so that none or all are newer, whatever the day is."""
    assert len(numbers(live, "--from", "-36500d", "--limit", "99")) == 40
    assert len(numbers(live, "--to=-36500d", "--limit", "99")) == 0


def test_follow_prints_only_new_actions_that_match(live: Cli) -> None:
    process = live.start(*HISTORY, "-f", "--action", "search", "--limit", "1", "--interval", "0.05")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["t"] == 35
    for name in ("other", "search", "other", "search"):
        live.ok("session", "apply", SESSION_ID, "--action", name)
    assert [json.loads(process.stdout.readline())["t"] for _ in range(2)] == [41, 43]
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert (out, process.returncode) == (b"", 130)


def test_follow_with_a_text_and_a_time(live: Cli) -> None:
    found = live.ok(*HISTORY, "-f", "--grep", "term", "--since", "2026-11-23T12:20", "--seconds", "0.1")
    assert [row["t"] for row in found.rows] == [25, 35]


def test_a_missing_session(awictl: Cli) -> None:
    awictl("session", "history", "sess_missing", "--failed").error(3, "sess_missing")


def test_a_document_that_is_none(awictl: Cli, valkey: ValkeyServer) -> None:
    valkey.raw.set(session_key(), compact({"no": "session"}))
    awictl(*HISTORY, "--failed").error(6, SESSION_ID, "not a session document")
