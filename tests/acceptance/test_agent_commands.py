"""`awictl agent`: API keys are printed once, at registration."""

from __future__ import annotations

import pytest
from support.cli import Cli
from support.mongo import MongoServer


@pytest.fixture
def archiving_user(awictl: Cli) -> Cli:
    """A user whose archive is an SQLite file."""
    return awictl.having(AWI_ARCHIVE_URL=f"sqlite:///{awictl.home}/archive.db")


def test_register_list_show_and_revoke(archiving_user: Cli) -> None:
    made = archiving_user.ok(
        "agent", "register", "crawler", "--permission", "read", "--expires", "30d", "--description", "x"
    )
    assert "cannot be shown again" in made.err
    row = made.json
    secret = row.pop("key")
    assert secret.startswith("agent_") and len(secret) == 38
    assert (row["name"], row["permissions"], row["state"], row["made_by"]) == ("crawler", ["read"], "active", "awictl")
    raw = archiving_user.ok("agent", "register", "browser", "-o", "raw").text
    assert raw.endswith("\n") and len(raw) == 39
    assert (
        archiving_user.ok("agent", "register", "third", "-o", "ids", "-q").text.strip()
        in archiving_user.ok("agent", "list", "-o", "ids").text
    )

    listed = archiving_user.ok("agent", "list").rows
    assert [one["name"] for one in listed] == ["third", "browser", "crawler"], "the newest first"
    assert listed[0]["permissions"] == ["read", "write"]
    assert row == archiving_user.ok("agent", "show", "crawler").json
    assert listed[-1] == row | {"session_id": None}
    assert row == archiving_user.ok("agent", "show", row["agent_id"]).json
    table = archiving_user.ok("agent", "list", "-o", "table").table()
    assert "crawler" in table and "PERMISSIONS" in table

    archiving_user("agent", "revoke", "crawler").error(4, "--yes")
    assert archiving_user.ok("agent", "show", "crawler").json["state"] == "active"
    assert archiving_user.ok("agent", "revoke", "crawler", "--yes").json == row | {"state": "revoked"}
    assert archiving_user.ok("agent", "revoke", "crawler", "--yes").json["state"] == "revoked"
    for shown in (
        archiving_user.ok("agent", "list", "-o", "table"),
        archiving_user.ok("agent", "list"),
        archiving_user.ok("agent", "show", "crawler", "-o", "table"),
        archiving_user("agent", "show", secret),
        archiving_user("agent", "revoke", "nobody", "--yes", "--verbose"),
    ):
        assert secret not in shown.text + shown.err


def test_invalid_input_is_refused(archiving_user: Cli) -> None:
    archiving_user.ok("agent", "register", "somebody")
    archiving_user.ok("agent", "revoke", "somebody", "--yes")
    archiving_user("agent", "show", "nobody").error(3, "nobody")
    archiving_user("agent", "revoke", "nobody", "--yes").error(3, "nobody")
    archiving_user("agent", "register", "").error(2, "name")
    archiving_user("agent", "register", "a\x01b").error(2, "name")
    archiving_user("agent", "register", "x", "--permission", "root").error(2, "root")
    archiving_user("agent", "register", "x", "--expires", "soon").error(2, "soon")
    archiving_user("agent", "register", "x", "--expires", "0s").error(2, "expires")
    archiving_user("agent", "list", "-o", "raw").error(2, "raw")
    assert [one["name"] for one in archiving_user.ok("agent", "list").rows] == ["somebody"]


def test_a_read_only_profile_writes_nothing(archiving_user: Cli) -> None:
    archiving_user.ok("agent", "register", "x")
    reader = archiving_user.having(AWI_READ_ONLY="1")
    reader("agent", "register", "y").error(4, "read-only")
    reader("agent", "revoke", "x", "--yes").error(4, "read-only")
    reader("serve", "--port", "0").logged_error(4, "read-only")
    assert [one["name"] for one in reader.ok("agent", "list").rows] == ["x"]


def test_an_archive_is_required(awictl: Cli) -> None:
    for words in (["list"], ["register", "x"], ["show", "x"], ["revoke", "x", "--yes"]):
        awictl("agent", *words).error(4, "no archive", "AWI_ARCHIVE_URL", "keys of agents")
    awictl("serve", "--port", "0").logged_error(4, "no archive", "keys of agents")


def test_keys_written_by_the_app(awictl: Cli, mongo: MongoServer) -> None:
    mongo.put("agentapikeys", "mongo_agentapikey.ejson")
    user = awictl.having(MONGODB_URI=mongo.uri)
    [row] = user.ok("agent", "list").rows
    assert (row["name"], row["made_by"], row["requests_per_hour"]) == ("BrowserUseAgent", "app", 1000)
    user("agent", "revoke", "BrowserUseAgent", "--yes").error(4, "read-only")
    assert "agent_0000" not in user.ok("agent", "show", "BrowserUseAgent").text
