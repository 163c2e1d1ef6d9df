"""Help, suggestions for mistyped commands, and ways to name servers, sessions and agents."""

from __future__ import annotations

import pytest
from support.cli import Cli
from support.documents import SESSION_ID, agent_key, compact, document, put
from support.valkey import ValkeyServer

from awictl import __version__


@pytest.mark.parametrize("words", [[], ["session"], ["session", "list"], ["health"], ["help"]], ids=" ".join)
def test_h_is_help(user: Cli, words: list[str]) -> None:
    page = user.ok(*words, "--help")
    assert user.ok(*words, "-h").out == page.out
    assert "-h, --help" in page.text


@pytest.mark.parametrize("words", [[], ["session"], ["session", "list"], ["serve"]], ids=" ".join)
def test_help_shows_the_same_page(user: Cli, words: list[str]) -> None:
    shown = user.ok("help", *words)
    assert shown.text == user.ok(*words, "--help").text and shown.err == ""


def test_help_on_a_command_that_does_not_exist(user: Cli) -> None:
    user("help", "session", "lst").error(2, "No such command 'lst'", "`awictl session list`")
    user("help", "sesion").error(2, "`awictl session`")
    user("help", "serve", "now").error(2, "`awictl serve` is a command")
    user("help", "\x1b[2J").error(2, "No such command")


def test_version_is_a_command(user: Cli) -> None:
    assert user.ok("version").text == f"awictl {__version__}\n"
    assert user.ok("version", "-o", "json").json == {"version": __version__}


@pytest.mark.parametrize(
    ("words", "suggested"),
    [
        ("session lst", "awictl session list"),
        ("session ls", "awictl session list"),
        ("session get", "awictl session show"),
        ("session rm", "awictl session end"),
        ("session delete", "awictl session end"),
        ("session creat", "awictl session create"),
        ("cache rm", "awictl cache delete"),
        ("agent rm", "awictl agent revoke"),
        ("session help", "awictl help session"),
        ("session restore", "awictl archive restore"),
        ("sesion list", "awictl session"),
        ("hlep", "awictl help"),
        ("list", "awictl session list"),
    ],
)
def test_a_mistyped_command_suggests_the_nearest_one(user: Cli, words: str, suggested: str) -> None:
    line = user(*words.split()).error(2, "No such command")
    assert f"Did you mean `{suggested}`" in line
    assert "health" not in line


def test_nothing_is_suggested_if_nothing_is_near(user: Cli) -> None:
    assert "Did you mean" not in user("session", "xyzzy").error(2, "No such command 'xyzzy'")


# -- addresses and ids


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "127.0.0.1:{port}/0", "{socket}"])
def test_a_server_is_named_without_a_scheme(user: Cli, valkey: ValkeyServer, address: str) -> None:
    put(valkey, compact(document([0])))
    given = address.format(port=valkey.port, socket=valkey.socket)
    assert user.ok("--redis", given, "session", "list", "-o", "ids").lines == [SESSION_ID]


def test_a_host_alone_has_the_usual_port(user: Cli) -> None:
    rows = {row["setting"]: row["value"] for row in user.ok("--redis", "redis.example.com", "config", "show").rows}
    assert (rows["REDIS_HOST"], rows["REDIS_PORT"], rows["REDIS_DB"]) == ("redis.example.com", 6379, 0)
    user("--redis", ":secret@localhost", "health").error(2, "REDIS_PASSWORD")
    user("--redis", "localhost:port", "health").error(2, "--redis")


def test_ids_are_accepted_as_the_names_of_their_keys(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0])))
    agent = agent_key()
    valkey.raw.set(agent, SESSION_ID, ex=1000)
    valkey.raw.set("MEDIA:IMG:known", b"{}", ex=1000)
    key = f"AWI:SESSION:{SESSION_ID}"
    assert awictl.ok("session", "show", key).json["session_id"] == SESSION_ID
    assert awictl.ok("session", "history", key).rows
    assert awictl.ok("session", "apply", key, "{}", "-o", "ids").lines == [SESSION_ID]
    assert awictl.ok("session", "diff", key, key).json == {"delta": {}, "removed": []}
    assert awictl.ok("session", "touch", key).rows[0]["session_id"] == SESSION_ID
    assert awictl.ok("session", "touch", "-", stdin=key.encode()).rows[0]["session_id"] == SESSION_ID
    assert awictl.ok("session", "end", key, "--discard", "--dry-run").rows[0]["session_id"] == SESSION_ID
    assert awictl.ok("cache", "put", "[]", "--session", key).json["sessions"] == [SESSION_ID]
    assert awictl.ok("agent", "session", agent, "-o", "ids").lines == [SESSION_ID]
    assert awictl.ok("media", "show", "MEDIA:IMG:known").out
    assert awictl.ok("media", "put", "MEDIA:IMG:known", "--full", "https://example.com/1.jpg", "-o", "ids").lines == [
        "known"
    ]
    assert awictl.ok("session", "list", "--agent", agent, "-o", "ids").lines == [SESSION_ID]
    archiving = awictl.having(AWI_ARCHIVE_URL="sqlite:///archive.db")
    archiving.ok("session", "end", key)
    for words in (["archive", "show", key], ["archive", "show", "-"], ["archive", "export", key]):
        assert archiving.ok(*words, stdin=key.encode()).json["session_id"] == SESSION_ID
    assert archiving.ok("archive", "restore", key, "-o", "ids").lines == [SESSION_ID]
    awictl("session", "show", "AWI:DIFF:sess_test").error(2, "not a session id")
