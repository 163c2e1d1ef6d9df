"""Commands while Redis is unreachable: what comes from elsewhere is marked, in JSON and on stderr."""

from __future__ import annotations

import json

import pytest
from support.cli import Cli
from support.valkey import free_port


def archived(user: Cli) -> tuple[Cli, str]:
    """The same user without Redis, and the id of a live session whose newest state is in the archive."""
    session_id = user.ok("session", "create", "--agent", "browser-1").json["session_id"]
    user.ok("session", "apply", session_id, json.dumps({"n": 1}), "--action", "filter")
    user.ok("archive", "sweep", "--margin", "1d")
    return user.having(REDIS_PORT=str(free_port())), session_id


def test_reads_are_marked(sqlite_user: Cli) -> None:
    live, session_id = sqlite_user, sqlite_user.ok("session", "create", "--agent", "one").json["session_id"]
    assert "degraded" not in live.ok("session", "show", session_id).json
    away, session_id = archived(sqlite_user)
    shown = away.ok("session", "show", session_id)
    assert shown.json["degraded"] is True and shown.json["n"] == 1
    assert "Redis is unreachable and may have a newer state" in shown.err
    assert b"degraded" not in away.ok("session", "show", session_id, "-o", "raw").out, "the bytes as they were stored"
    history = away.ok("session", "history", session_id, "-o", "json")
    assert history.json["degraded"] is True and history.json["trajectory"][0]["action"] == "filter"
    assert "Redis is unreachable and may have a newer state" in history.err
    live.ok("session", "end", session_id)
    for words in (["show"], ["history", "-o", "json"]):
        ended = live.ok("session", words[0], session_id, *words[1:])
        assert "degraded" not in ended.json, "the archive is where an ended session is"


@pytest.mark.parametrize(
    "words", [["apply", "SESSION", "{}"], ["create", "--agent", "browser-1"]], ids=lambda one: one[0]
)
def test_writes_fail_without_the_fallback(mongo_user: Cli, words: list[str]) -> None:
    away, session_id = archived(mongo_user)
    words = [session_id if one == "SESSION" else one for one in words]
    away("session", *words, "--no-fallback").error(5, "cannot reach Redis")
    away.having(AWI_FALLBACK="off")("session", *words).error(5, "cannot reach Redis")
