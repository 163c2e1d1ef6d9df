"""`awictl agent`: API keys are printed once, at registration."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.cli import Cli
from support.mongo import MongoServer
from support.valkey import ValkeyServer


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
    shown = archiving_user.ok("agent", "show", "crawler").json
    assert shown == shown | row and shown["requests"] == 0 and shown["suspensions"] == []
    assert listed[-1] == row | {"session_id": None}
    assert shown == archiving_user.ok("agent", "show", row["agent_id"]).json
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
    shown = user.ok("agent", "show", "BrowserUseAgent")
    assert "agent_0000" not in shown.text
    expected = {"requests": 480, "requests_of_app": 480, "requests_of_awictl": 0, "last_used_at": row["last_used_at"]}
    expected |= {"reputation": "normal", "reputation_score": 50, "violations": 0, "session_id": None}
    assert shown.json == shown.json | expected
    table = user.ok("agent", "show", "BrowserUseAgent", "-o", "table").table()
    assert "480 (app 480, awictl 0)" in table and "normal" in table
    user.ok("agent", "suspend", "BrowserUseAgent", "--for", "2h", "--reason", "spam")
    table = user.ok("agent", "show", "BrowserUseAgent", "-o", "table").table()
    assert "suspended until" in table and "spam" in table
    assert user.ok("agent", "revoke", "BrowserUseAgent", "--yes").json["state"] == "revoked"
    assert user.ok("agent", "list").rows[0]["state"] == "revoked"


def test_usage(awictl: Cli, mongo: MongoServer) -> None:
    mongo.put("agentapikeys", "mongo_agentapikey.ejson")
    user = awictl.having(MONGODB_URI=mongo.uri)
    for name in ("a", "b"):
        user.ok("agent", "register", name)
    mongo.raw["awi_agent_keys"].update_one({"name": "b"}, {"$set": {"usage": {"totalRequests": 500}}})
    assert [one["name"] for one in user.ok("agent", "usage").rows] == ["b", "BrowserUseAgent", "a"]
    assert [one["name"] for one in user.ok("agent", "usage", "--sort", "name").rows] == ["BrowserUseAgent", "a", "b"]
    [last] = user.ok("agent", "usage", "--reverse", "--limit", "1").rows
    assert (last["name"], last["requests"]) == ("a", 0)
    table = user.ok("agent", "usage", "--sort", "violations", "-o", "table").table()
    assert "VIOLATIONS" in table and "REQUESTS" in table
    assert user.ok("agent", "usage", "-o", "csv").text.startswith("agent_id,")
    user("agent", "usage", "--sort", "age").error(2, "age")


# -- suspend, resume, revoke


def test_suspend_and_resume(archiving_user: Cli) -> None:
    for name in ("crawler", "my browser"):
        archiving_user.ok("agent", "register", name)
    before = archiving_user.ok("agent", "list").rows
    dry = archiving_user.ok("agent", "suspend", "crawler", "--for", "2h", "--dry-run")
    assert "nothing was written" in dry.err and archiving_user.ok("agent", "list").rows == before
    [row] = archiving_user.ok("agent", "suspend", "crawler", "--for", "2h", "--reason", "too \x1b[31mfast").rows
    assert (row["state"], row["suspension_reason"]) == ("suspended", "too \x1b[31mfast")
    table = archiving_user.ok("agent", "suspend", "crawler", "--reason", "too \x1b[31mfast", "-o", "table").table()
    assert "suspended" in table and "\x1b" not in table
    shown = archiving_user.ok("agent", "show", "crawler").json
    assert shown["state"] == "suspended" and shown["suspended_until"] is None and len(shown["suspensions"]) == 2
    both = archiving_user.ok("agent", "suspend", "-", "-o", "ids", stdin=b"crawler\nmy browser\n").text.split()
    assert len(both) == 2
    assert {one["state"] for one in archiving_user.ok("agent", "list").rows} == {"suspended"}
    assert archiving_user.ok("agent", "resume", "crawler", "--dry-run").rows[0]["state"] == "suspended"
    mixed = archiving_user("agent", "resume", "nobody", "crawler", "my browser")
    assert mixed.code == 3 and "nobody" in mixed.err
    assert [one["state"] for one in mixed.rows] == ["active", "active"]
    assert archiving_user.ok("agent", "list").rows == before


def test_revoke_several_agents(archiving_user: Cli) -> None:
    for name in ("a", "b", "c"):
        archiving_user.ok("agent", "register", name)
    dry = archiving_user.ok("agent", "revoke", "a", "b", "--dry-run")
    assert [one["state"] for one in dry.rows] == ["active", "active"] and "nothing was written" in dry.err
    archiving_user("agent", "revoke", "-", stdin=b"a\nb\n").error(4, "2 agents", "--yes")
    assert [one["state"] for one in archiving_user.ok("agent", "revoke", "-", "--yes", stdin=b"a\nb\n").rows] == [
        "revoked",
        "revoked",
    ]
    archiving_user("agent", "suspend", "a").error(4, "revoked")
    archiving_user("agent", "resume", "a").error(4, "revoked")
    assert [one["state"] for one in archiving_user.ok("agent", "list").rows] == ["active", "revoked", "revoked"]


def test_invalid_suspensions(archiving_user: Cli) -> None:
    archiving_user.ok("agent", "register", "x")
    archiving_user("agent", "suspend", "x", "--for", "soon").error(2, "soon")
    archiving_user("agent", "suspend", "x", "--for", "0s").error(2, "above zero")
    archiving_user("agent", "suspend", "x", "--reason", "").error(2, "reason")
    archiving_user("agent", "suspend", "nobody").error(3, "nobody")
    reader = archiving_user.having(AWI_READ_ONLY="1")
    for verb in ("suspend", "resume"):
        reader("agent", verb, "x").error(4, "read-only")
        assert reader.ok("agent", verb, "x", "--dry-run").rows[0]["state"] == "active"


def test_a_dry_run_refuses_what_the_command_would_refuse(archiving_user: Cli) -> None:
    archiving_user.ok("agent", "register", "x")
    archiving_user.ok("agent", "revoke", "x", "--yes")
    for verb in ("suspend", "resume"):
        archiving_user("agent", verb, "x").error(4, "revoked")
        archiving_user("agent", verb, "x", "--dry-run").error(4, "revoked")


def test_what_was_not_sent_has_no_unknown_outcome(awictl: Cli, new_mongo: Callable[[], MongoServer]) -> None:
    server = new_mongo()
    user = awictl.having(MONGODB_URI=server.uri)
    server.kill()
    failed = user("agent", "suspend", "x", "y")
    assert failed.code == 5 and "0 done" in failed.err and "outcome unknown" not in failed.err


def test_without_the_archive_it_is_not_known_whether_an_agent_has_a_session(
    awictl: Cli, new_mongo: Callable[[], MongoServer]
) -> None:
    server = new_mongo()
    user = awictl.having(MONGODB_URI=server.uri)
    server.kill()
    user("agent", "session", "crawler").error(5, "crawler", "redis://", "names of registered agents", "MongoDB")
    user.ok("session", "create", "--agent", "a")
    assert user.ok("agent", "session", "a").err == ""


def test_api_keys_are_in_no_message(awictl: Cli, mongo: MongoServer) -> None:
    stored = mongo.put("agentapikeys", "mongo_agentapikey.ejson")
    secret = stored["key"]
    history = [{"reason": f"leaked {secret}"}]
    fields = {"description": f"key: {secret}", "suspended": True, "suspensionReason": secret}
    mongo.raw["agentapikeys"].update_one({}, {"$set": {**fields, "securityMetrics.suspensionHistory": history}})
    user = awictl.having(MONGODB_URI=mongo.uri)
    for words in (
        ["agent", "session", secret],
        ["agent", "session", secret, "--verbose"],
        ["agent", "suspend", secret, "nobody"],
        ["session", "list", "--agent", secret, "--verbose"],
        ["agent", "audit", secret],
        ["agent", "list"],
        ["agent", "usage"],
        ["agent", "show", "BrowserUseAgent"],
        ["agent", "suspend", "BrowserUseAgent", "--dry-run"],
    ):
        done = user(*words)
        assert secret not in done.text + done.err and (done.code == 3 or "*" * 8 in done.text or done.text == ""), done
    user("agent", "session", "agent_20261127").error(3, "agent_20261127")


def test_long_texts_of_an_agent_are_cut_on_terminals(awictl: Cli, mongo: MongoServer) -> None:
    mongo.put("agentapikeys", "mongo_agentapikey.ejson")
    long = {name: name[0] * 100_000 for name in ("name", "description", "suspensionReason")}
    mongo.raw["agentapikeys"].update_one({}, {"$set": {**long, "suspended": True, "reputation": ["r"] * 10_000}})
    user = awictl.having(MONGODB_URI=mongo.uri)
    shown = user.ok("agent", "show", "6b03e3a15c752fa9a5b94777", "-o", "table")
    assert len(shown.table()) < 15_000 and "(100,000 characters)" in shown.text
    assert user.ok("agent", "show", "6b03e3a15c752fa9a5b94777").json["name"] == long["name"]
    asked = user("agent", "revoke", "6b03e3a15c752fa9a5b94777").error(4, "nnn", "--yes")
    assert len(asked) < 1_000


# -- sessions


def test_an_agent_with_several_live_sessions(awictl: Cli, valkey: ValkeyServer) -> None:
    """The app never refreshes AGENT:SESSION (F8)."""
    first, second, other = (
        awictl.ok("session", "create", "--agent", agent, "-o", "ids").text.strip() for agent in ("a", "a", "b")
    )
    shown = awictl.ok("agent", "session", "a")
    assert (shown.json["session_id"], shown.json["other_sessions"]) == (second, [first])
    assert "1 other live session" in shown.err and first in shown.err
    assert first in awictl.ok("agent", "session", "a", "-o", "table").table()
    alone = awictl.ok("agent", "session", "b")
    assert (alone.json["session_id"], alone.json["other_sessions"], alone.err) == (other, [], "")
    assert awictl.ok("agent", "session", "a", "-o", "ids").err == "", "without a scan"
    valkey.raw.delete("AGENT:SESSION:a")
    awictl("agent", "session", "a").error(3, "2 live sessions", first, second, "mapping has expired", "doctor --fix")
