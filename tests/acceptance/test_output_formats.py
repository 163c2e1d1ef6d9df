"""Output formats beside tables and JSON: wide, CSV, YAML, and JSON through jq; which command has which."""

from __future__ import annotations

import csv
import io
import json
import signal
import time
from typing import Any

import pytest
import yaml
from support.cli import LIMIT_SECONDS, Cli
from support.documents import compact, document, put
from support.mongo import MongoServer
from support.terminal import on_terminal
from support.valkey import ValkeyServer

from awictl.cli.reference.tree import CommandNode, tree
from awictl.document.byte_layout import encode

#: A cell that a spreadsheet would take for a formula, with all that CSV has to quote.
FORMULA = '=cmd|"/C calc",\n1e3'


def failing(session_id: str, failed: int, **others: Any) -> dict[str, Any]:
    made = document([0] * 5, session_id, **others)
    made["statistics"] |= {"failed_actions": failed, "successful_actions": 5 - failed}
    return made


@pytest.fixture
def three(valkey: ValkeyServer) -> ValkeyServer:
    """A live session with a hostile name, one with failures, and one that has ended."""
    put(valkey, compact(failing("sess_a", 0, agent_id="1e3", agent_name=FORMULA)), "sess_a")
    put(valkey, encode(failing("sess_b", 3, agent_id="agent-b", agent_name="b")), "sess_b")
    ended = failing("sess_c", 1, agent_id="agent-c", agent_name="c")
    ended["history"]["actions"][-1]["action"] = "session_end"
    put(valkey, encode(ended), "sess_c")
    valkey.raw.persist("AWI:SESSION:sess_c")
    return valkey


def table(csv_text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_text, newline="")))


def test_csv_has_the_values_of_json(awictl: Cli, three: ValkeyServer) -> None:
    rows = {row["session_id"]: row for row in awictl.ok("session", "list").rows}
    listed = table(awictl.ok("session", "list", "-o", "csv", "--sort", "id").text)
    assert [row["session_id"] for row in listed] == ["sess_a", "sess_b", "sess_c"]
    for row in listed:
        assert row["error"] == "" and row["agent_name"] == rows[row["session_id"]]["agent_name"]
        assert int(row["bytes"]) == rows[row["session_id"]]["bytes"]
    assert listed[0]["agent_name"] == FORMULA, "cells are data"
    assert listed[2]["ttl_ms"] == "", "an unset value is empty"
    put(three, b"{", "sess_bad")
    assert any(row["error"] for row in table(awictl.ok("session", "list", "-o", "csv").text))
    [action] = table(awictl.ok("session", "history", "sess_b", "--limit", "1", "-o", "csv").text)
    assert json.loads(action["input"]) == {"page": 4} and action["success"] == "true"


def test_formats_of_rows_are_refused_where_there_are_none(awictl: Cli, three: ValkeyServer) -> None:
    user = awictl.having(AWI_ARCHIVE_URL=f"sqlite:///{awictl.home}/archive.db")
    user("archive", "sweep", "-o", "csv").error(2, "--dry-run")
    assert "why" in user.ok("archive", "sweep", "--dry-run", "-o", "csv").lines[0].split(",")
    assert user.ok("archive", "sweep", "--dry-run", "--margin", "1h", "-o", "ids").lines
    user("session", "history", "sess_a", "--follow", "-o", "csv").error(2, "--follow", "csv")


def test_columns_are_selected(awictl: Cli, three: ValkeyServer) -> None:
    words = ["session", "list", "--sort", "id", "--columns", "session,failed,last_activity"]
    assert awictl.ok(*words, "-o", "csv").lines[0] == "session_id,failed_actions,last_activity"
    title, _, first, *_ = awictl.ok(*words, "-o", "table").lines
    assert title.split() == ["SESSION", "FAILED", "LAST", "ACTIVITY"] and first.startswith("sess_a")
    awictl(*words).error(2, "--columns", "--jq")
    awictl("session", "list", "-o", "table", "--columns", "session,nonsense").error(2, "nonsense", "last_activity")


def test_a_wide_table_has_all_columns(awictl: Cli, three: ValkeyServer) -> None:
    text = awictl.on_screen("session", "list", "-o", "wide", "--no-color", columns=80).text
    for title in ("AGENT ID", "STATE", "ROUTE", "ACTIONS", "FAILED", "LAST ACTIVITY", "IDLE", "TTL", "BYTES"):
        assert title in text
    assert '=cmd|"/C calc",\\n1e3' in text and "…" not in text
    assert "AGENT ID" not in awictl.on_screen("session", "list", columns=200).text


def test_state_and_failures_of_listed_sessions(awictl: Cli, three: ValkeyServer) -> None:
    rows = {row["session_id"]: row for row in awictl.ok("session", "list").rows}
    assert {name: (row["state"], row["failed_actions"]) for name, row in rows.items()} == {
        "sess_a": ("live", 0),
        "sess_b": ("live", 3),
        "sess_c": ("ending", 1),
    }
    assert awictl.ok("session", "list", "--failed", "--sort", "failed", "-o", "ids").lines == ["sess_b", "sess_c"]
    text = awictl.on_screen("session", "list", "--failed", "--sort", "failed").text
    assert "ending" in text and text.splitlines()[-1] == "2 of 3 sessions"
    ended = failing("sess_app", 2)  # as the app writes it
    ended["history"]["last_action"] = ended["history"]["actions"][-1] | {"action": "session_end"}
    put(three, compact(ended), "sess_app")
    [row] = [row for row in awictl.ok("session", "list", "--failed").rows if row["session_id"] == "sess_app"]
    assert (row["state"], row["failed_actions"]) == ("ended", 2), "nothing keeps it until it is archived"


def test_an_ended_session_that_was_restored_is_not_ending(awictl: Cli, three: ValkeyServer) -> None:
    user = awictl.having(AWI_ARCHIVE_URL=f"sqlite:///{awictl.home}/archive.db")
    user.ok("session", "end", "sess_c")
    user.ok("archive", "restore", "sess_c")
    [row] = [row for row in user.ok("session", "list").rows if row["session_id"] == "sess_c"]
    assert row["state"] == "ended" and row["ttl_ms"] > 0


def test_csv_without_rows_has_the_names_of_the_fields(awictl: Cli, three: ValkeyServer) -> None:
    header = awictl.ok("session", "list", "-o", "csv").lines[0]
    assert awictl.ok("session", "list", "--agent", "nobody", "-o", "csv").lines == [header]
    nobody = ("session", "list", "--agent", "nobody", "--columns", "session,ttl", "-o", "csv")
    assert awictl.ok(*nobody).lines == ["session_id,ttl_ms"]


def test_yaml_is_equal_data(awictl: Cli, three: ValkeyServer) -> None:
    shown = awictl.ok("session", "show", "sess_a", "-o", "yaml").text
    assert yaml.safe_load(shown) == awictl.ok("session", "show", "sess_a").json
    assert 'agent_id: "1e3"' in shown, "not a number in YAML 1.2 either"
    listed = yaml.safe_load(awictl.ok("session", "list", "--sort", "id", "-o", "yaml").text)
    assert [row["session_id"] for row in listed] == ["sess_a", "sess_b", "sess_c"]
    assert yaml.safe_load(awictl.ok("session", "list", "--agent", "nobody", "-o", "yaml").text) == []
    followed = awictl.ok("session", "history", "sess_a", "-f", "--seconds", "0.1", "-o", "yaml").text
    assert [one["t"] for one in yaml.safe_load_all(followed)] == [0, 1, 2, 3, 4]


def test_yaml_escapes_control_characters(awictl: Cli, valkey: ValkeyServer) -> None:
    name = "\x1b[2J\x9b\u202e\u2028\x7f\ud83d no: 'x' # é 🙂"
    valkey.raw.set("AWI:SESSION:sess_test", json.dumps(document([0], agent_name=name)).encode(), ex=100)
    text = awictl.ok("session", "show", "sess_test", "-o", "yaml").text
    assert text.replace("\n", "").isprintable()
    assert yaml.safe_load(text)["agent_name"] in (name, name.replace("\ud83d", "\ufffd"))


def test_jq_filters_json(awictl: Cli, three: ValkeyServer) -> None:
    assert awictl.ok("session", "list", "--sort", "id", "--jq", ".session_id").lines == ["sess_a", "sess_b", "sess_c"]
    assert awictl.ok("--jq", "map(.failed_actions) | add", "session", "list", "-o", "json").json == 4
    assert awictl.ok("session", "show", "sess_b", "--jq", ".page_state.pagination").json["cursor"] >= 0
    assert awictl.ok("session", "show", "sess_b", "--jq", ".history.actions[] | .t").lines == ["0", "1", "2", "3", "4"]
    assert awictl.ok("session", "history", "sess_b", "-f", "--seconds", "0.1", "--jq", ".t").lines == list("01234")
    assert awictl.on_screen("session", "list", "--sort", "id", "--jq", ".state").text.split() == [
        "live",
        "live",
        "ending",
    ]
    lone = json.dumps(document([0], agent_name="\ud83d")).encode()
    put(three, lone, "sess_lone")
    assert awictl.ok("session", "show", "sess_lone", "--jq", ".session_id").text == "sess_test\n"


def test_wrong_jq_is_reported_before_anything_is_done(awictl: Cli, three: ValkeyServer) -> None:
    awictl("session", "end", "sess_b", "--discard", "--yes", "--jq", ".a[").error(2, "--jq: ", "syntax error")
    awictl("session", "end", "sess_b", "--discard", "--yes", "--jq", ".", "-o", "csv").error(2, "--jq", "csv")
    assert three.raw.exists("AWI:SESSION:sess_b")
    awictl("session", "list", "--jq", ".session_id.x").error(2, "--jq: ", "Cannot index")


def test_ctrl_c_ends_a_jq_expression_that_never_ends(awictl: Cli, three: ValkeyServer) -> None:
    for expression in ("def f: f; f", "repeat(1)"):
        with on_terminal(awictl, "session", "list", "--jq", expression) as terminal:
            if expression == "repeat(1)":
                terminal.until("1\n1\n1")
            else:
                time.sleep(1)
            started = time.monotonic()
            terminal.interrupt()
            code = terminal.end()
            assert code == 130 or terminal.process.signalstatus == signal.SIGINT
            assert time.monotonic() - started < LIMIT_SECONDS / 4, "a second, and a busy terminal"


def test_an_id_needs_no_look_up_of_names(awictl: Cli, valkey: ValkeyServer) -> None:
    """An archive that is away does not slow the search for an agent in a session down."""
    user = awictl.having(MONGODB_URI="mongodb://127.0.0.1:1/awi")
    session_id = user.ok("session", "create", "--agent", "browser-1", "-o", "ids").text.strip()
    found = user.ok("session", "list", "--agent", "browser-1", "-o", "ids")
    assert found.lines == [session_id] and found.err == ""
    named = user.ok("session", "list", "--agent", "nobody", "--timeout", "0.2")
    assert "the names of registered agents are not available" in named.err
    assert user.ok("session", "list", "--agent", "x" * 300).rows == []


@pytest.mark.parametrize(("module", "words"), [("jq", ["--jq", "."]), ("yaml", ["-o", "yaml"])])
def test_a_missing_extra_is_one_line(awictl: Cli, three: ValkeyServer, module: str, words: list[str]) -> None:
    script = f"""import sys; sys.modules[{module!r}] = None
from awictl.cli.main import run
sys.exit(run(["session", "end", "sess_b", "--discard", "--yes", *sys.argv[1:]]))"""
    awictl.python("-c", script, *words).error(2, f"pip install 'awictl[{module}]'", words[0])
    assert three.raw.exists("AWI:SESSION:sess_b"), "nothing was done"


def commands(node: CommandNode) -> list[CommandNode]:
    return [one for one in node.walk() if not one.children]


def test_the_help_of_a_command_lists_its_formats(awictl: Cli) -> None:
    def formats(*words: str) -> str:
        text = " ".join(awictl.ok(*words, "--help").text.split())
        return text.split("--output ")[1].split()[0]

    assert formats("session", "list") == "table|wide|json|jsonl|yaml|csv|ids"
    assert formats("session", "show") == "table|json|jsonl|yaml|ids|raw"
    assert formats("archive", "export") == "jsonl"
    assert formats().strip("<[]>") == "table|wide|json|jsonl|yaml|csv|ids|raw"
    awictl("archive", "export", "-o", "csv").error(2, "jsonl")
    for node in commands(tree()):
        [output] = [one for one in node.options if "--output" in one.names]
        assert output.value.split("|") != ["VALUE"] and set(output.value.split("|")) <= set(output.choices), node.path


def test_keys_of_some_kinds(awictl: Cli, three: ValkeyServer) -> None:
    for key in ("AWI:DIFF:sess_a", "MEDIA:IMG:x", "foreign"):
        three.raw.set(key, b"{}", ex=100)
    kinds = ["--kind", "diff", "--kind", "image"]
    assert sorted(awictl.ok("keys", "list", *kinds, "-o", "ids").lines) == ["AWI:DIFF:sess_a", "MEDIA:IMG:x"]
    assert {row["kind"] for row in awictl.ok("keys", "list", *kinds).rows} == {"diff", "image"}
    assert awictl.ok("keys", "list", "--kind", "other", "-o", "ids").lines == ["foreign"]
    assert awictl.on_screen("keys", "list", *kinds).text.splitlines()[-1] == "2 keys"
    awictl("keys", "list", "--kind", "nonsense").error(2, "nonsense", "session")


def test_agents_are_found_by_name(awictl: Cli, valkey: ValkeyServer) -> None:
    user = awictl.having(AWI_ARCHIVE_URL=f"sqlite:///{awictl.home}/archive.db")
    first = user.ok("agent", "register", "crawler", "-o", "ids").text.strip()
    session_id = user.ok("session", "create", "--agent", first, "-o", "ids").text.strip()
    assert user.ok("agent", "session", "crawler").json["session_id"] == session_id
    assert user.ok("agent", "session", "crawler").json["agent_id"] == first
    assert user.ok("agent", "session", first).json["session_id"] == session_id
    assert user.ok("session", "list", "--agent", "crawler", "-o", "ids").lines == [session_id]
    user("agent", "session", "nobody").error(3, "nobody")
    [row] = user.ok("agent", "list").rows
    assert row["session_id"] == session_id and row["last_used_at"] is not None
    assert session_id in user.on_screen("agent", "list", columns=200).text

    user("agent", "register", "crawler").error(4, "crawler", first, "--allow-duplicate")
    second = user.ok("agent", "register", "crawler", "--allow-duplicate", "-o", "ids").text.strip()
    for words in (["agent", "session"], ["agent", "show"], ["session", "list", "--agent"]):
        user(*words, "crawler").error(4, first, second)
    user.ok("agent", "revoke", second, "--yes")
    assert user.ok("agent", "show", "crawler").json["agent_id"] == first, "the only one whose key is not revoked"
    user.ok("agent", "revoke", first, "--yes")
    user.ok("agent", "register", "crawler")


def test_the_last_use_that_the_app_recorded_is_listed(awictl: Cli, mongo: MongoServer) -> None:
    mongo.put("agentapikeys", "mongo_agentapikey.ejson")
    user = awictl.having(MONGODB_URI=mongo.uri)
    [row] = user.ok("agent", "list").rows
    assert (row["last_used_at"], row["session_id"]) == ("2026-11-23T06:57:21.932Z", None)
    assert "2026-11-23 06:57Z" in user.on_screen("agent", "list", columns=200).text
    away = user.having(REDIS_PORT="1").ok("agent", "list", "-o", "table")
    assert "BrowserUseAgent" in away.text and "current sessions are not available" in away.err
