"""`awictl session` and `awictl agent session`, alone and in pipes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli, unchanged
from support.documents import (
    AGENT_ID,
    APP_FILES,
    LAYOUTS,
    SESSION_ID,
    Layout,
    agent_key,
    assert_same,
    compact,
    diff_key,
    document,
    expected_after,
    plain,
    put,
    replaced,
    session_key,
    stored,
)
from support.valkey import ValkeyServer

from awictl.document.byte_layout import encode

HALF_HOUR_MS = 1_800_000


def expires_in(valkey: ValkeyServer, key: str) -> int:
    left = valkey.raw.pttl(key)
    assert isinstance(left, int)
    return left


def created(awictl: Cli, agent: str = "browser-1") -> str:
    return awictl.ok("session", "create", "--agent", agent, "-o", "ids", "-q").text.strip()


# -- create


def test_create_prints_the_stored_document(awictl: Cli, valkey: ValkeyServer) -> None:
    result = awictl.ok("session", "create", "--agent", "browser-1", "--name", "Browser 🙂", "--route", "/posts")
    assert result.err == ""
    made = result.json
    assert re.fullmatch("sess_[0-9a-f]{32}", made["session_id"])
    assert (made["agent_id"], made["agent_name"], made["current_url"]) == ("browser-1", "Browser 🙂", "/posts")
    assert_same(made, plain(stored(valkey, made["session_id"])))
    assert made.keys() == json.loads(APP_FILES[0].read_bytes()).keys()
    assert valkey.raw.get(agent_key("browser-1")) == made["session_id"].encode()
    for key in (session_key(made["session_id"]), agent_key("browser-1")):
        assert HALF_HOUR_MS - 30_000 < expires_in(valkey, key) <= HALF_HOUR_MS


def test_create_names_the_previous_session_of_the_agent(awictl: Cli) -> None:
    first = created(awictl)
    result = awictl.ok("session", "create", "--agent", "browser-1", "-o", "ids")
    assert result.lines != [first] and first in result.err
    assert awictl.ok("agent", "session", "browser-1", "-o", "ids").lines == result.lines


# -- show


@pytest.mark.parametrize("file", APP_FILES, ids=lambda file: file.stem)
def test_a_document_of_the_app_can_be_shown_and_updated(awictl: Cli, valkey: ValkeyServer, file: Path) -> None:
    put(valkey, file.read_bytes())
    before = json.loads(file.read_bytes())
    with unchanged(valkey):
        assert awictl.ok("session", "show", SESSION_ID, "-o", "raw").out == file.read_bytes()
        assert_same(awictl.ok("session", "show", SESSION_ID).json, before)
        page = awictl.ok("session", "history", SESSION_ID, "--limit", "5", "--offset", "2", "-o", "json").json
    assert_same(page["trajectory"], before["history"]["actions"][::-1][2:7])
    assert page["total"] == len(before["history"]["actions"])
    awictl.ok("session", "apply", SESSION_ID, '{"page_state":{"filters":{"tag":"awi"}}}')
    after = plain(stored(valkey))
    wanted = replaced(before, ("page_state", "filters", "tag"), "awi")
    assert_same(after, expected_after(wanted, after["history"]["last_action"], counted="successful_actions"))


def test_show_prints_each_of_several_sessions_once(awictl: Cli) -> None:
    first, second = created(awictl, "a"), created(awictl, "b")
    result = awictl.ok("session", "show", second, "-", second, stdin=f"{first}\n{second}\n".encode())
    assert [row["session_id"] for row in result.rows] == [second, first]
    assert awictl.ok("session", "show", first, second, "-o", "ids").lines == [first, second]


def test_show_continues_after_a_missing_session(awictl: Cli) -> None:
    first, second = created(awictl, "a"), created(awictl, "b")
    result = awictl("session", "show", first, "sess_missing", second)
    result.error(3, "sess_missing")
    assert [row["session_id"] for row in result.rows] == [first, second]


def test_each_of_several_missing_sessions_is_named(awictl: Cli) -> None:
    result = awictl("session", "show", "sess_one", "sess_two")
    assert (result.code, result.out) == (3, b"")
    assert [name for name in ("sess_one", "sess_two") if name in result.err] == ["sess_one", "sess_two"]


def test_raw_is_byte_exact_in_both_layouts(awictl: Cli, valkey: ValkeyServer) -> None:
    strange = document([0, 5], **{"emoji 🙂": "\u2028", "spaces": "  \t "})
    for raw in (compact(strange), encode(strange), json.dumps(strange, indent=3).encode(), b"\xff\x00\n{not JSON"):
        put(valkey, raw)
        assert awictl.ok("session", "show", SESSION_ID, "-o", "raw").out == raw


def test_show_as_a_table_has_the_state_and_the_latest_actions(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0] * 12)))
    table = awictl.ok("session", "show", SESSION_ID, "-o", "table").table()
    for told in (SESSION_ID, AGENT_ID, "16m", "page 11", "next_page", "list_posts, search"):
        assert told in table
    assert "page 1 " not in table, "only the latest actions are shown"


def test_show_as_a_table_estimates_the_tokens_of_a_step(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, APP_FILES[3].read_bytes())
    shown = awictl.ok("session", "show", SESSION_ID, "-o", "table")
    assert re.search(r"tokens per step +≈ 67 as a diff, ≈ 409 as the whole state", shown.table())
    assert "tokens" not in awictl.ok("session", "show", SESSION_ID).text, "JSON is the document itself"


# -- apply


DELTA: dict[str, Any] = {
    "page_state": {"filters": {"tag": "awi 🙂"}, "visible_items": None},
    "new": [1.5, {"a": 2**63}],
}


@pytest.mark.parametrize("way", ["argument", "stdin", "@file"])
def test_apply_reads_the_delta_from_an_argument_a_file_and_stdin(awictl: Cli, valkey: ValkeyServer, way: str) -> None:
    put(valkey, compact(document([3])))
    text = json.dumps(DELTA, ensure_ascii=False)
    (awictl.home / "my delta.json").write_text(text)
    word = {"argument": text, "stdin": "-", "@file": "@my delta.json"}[way]
    head = awictl.ok("session", "apply", SESSION_ID, word, stdin=text.encode() if way == "stdin" else b"").json
    after = plain(stored(valkey))
    assert_same(after["page_state"]["filters"], DELTA["page_state"]["filters"])
    assert after["page_state"]["visible_items"] is None and after["new"] == DELTA["new"]
    assert_same(head, after | {"history": {"last_action": after["history"]["last_action"]}})
    assert_same(after["history"]["last_action"]["delta"], DELTA)
    assert HALF_HOUR_MS - 30_000 < expires_in(valkey, session_key()) <= HALF_HOUR_MS
    assert_same(json.loads(valkey.raw.get(diff_key()) or b"null")["delta"], DELTA)


def test_apply_records_the_given_action(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([3])))
    told = ("--action", "get_post", "--input", '{"id":"post_9"}', "--observation", "Post not found", "--failed")
    awictl.ok("session", "apply", SESSION_ID, *told, "--op-id", "import-7")
    recorded = plain(stored(valkey))["history"]["actions"][-1]
    del recorded["timestamp"]
    wanted = {"t": 1, "action": "get_post", "input": {"id": "post_9"}, "delta": {}, "success": False}
    assert recorded == wanted | {"observation": "Post not found", "op_id": "import-7"}
    assert plain(stored(valkey))["statistics"]["failed_actions"] == 1


def test_an_op_id_is_applied_once(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([3])))
    words = ("session", "apply", SESSION_ID, '{"n":1}', "--op-id", "import-7")
    first = awictl.ok(*words)
    awictl.ok("session", "apply", SESSION_ID, '{"n":2}')
    with unchanged(valkey):
        again = awictl.ok(*words)
    assert first.err.startswith("warning: the delta adds") and first.err.count("\n") == 1 and "import-7" in again.err
    assert again.json["n"] == 2, "the current state is printed"


def test_apply_in_a_pipe_with_jq(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([3])))
    script = """jq -n '{page_state: {route: "/p"}}' | awictl session apply "$1" - | jq -r .page_state.route"""
    assert awictl.shell(script, SESSION_ID).text == "/p\n"


# -- diff


def test_diff_prints_the_last_delta_with_its_action(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([3])))
    awictl.ok("session", "apply", SESSION_ID, '{"n":1}', "--action", "count")
    with unchanged(valkey):
        diff = awictl.ok("session", "diff", SESSION_ID).json
        assert "count" in awictl.ok("session", "diff", SESSION_ID, "-o", "table").table()
    assert diff == {"delta": {"n": 1}, "last_action": plain(stored(valkey))["history"]["last_action"]}


def test_diff_without_a_recent_update_is_null_with_a_notice(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([3])))
    result = awictl.ok("session", "diff", SESSION_ID)
    assert result.json is None and SESSION_ID in result.err
    awictl("session", "diff", "sess_missing").error(3, "sess_missing")


def test_diff_compares_two_states(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([3], "sess_a", only_a=1)), "sess_a")
    put(valkey, compact(document([3, 4], "sess_b", current_url="/b", added={"x": 1})), "sess_b")
    compared = awictl.ok("session", "diff", "sess_a", "sess_b")
    assert compared.json == {"delta": {"current_url": "/b", "added": {"x": 1}}, "removed": ["/only_a"]}
    everything = awictl.ok("session", "diff", "sess_a", "sess_b", "--all").json["delta"]
    assert everything["session_id"] == "sess_b" and "statistics" in everything
    table = awictl.ok("session", "diff", "sess_a", "sess_b", "-o", "table").table()
    assert "/only_a" in table and "/current_url" in table


def test_diff_exit_code(awictl: Cli, valkey: ValkeyServer) -> None:
    for name, url in (("sess_a", "/"), ("sess_same", "/"), ("sess_other", "/b")):
        put(valkey, compact(document([3], name, current_url=url)), name)

    def code(*ids: str) -> int:
        return awictl("session", "diff", *ids, "--exit-code").code

    assert (code("sess_a", "sess_same"), code("sess_a", "sess_other"), code("sess_a", "sess_missing")) == (0, 1, 3)
    assert code("sess_a") == 0, "it was not updated lately"
    awictl.ok("session", "apply", "sess_a", '{"n":1}')
    assert code("sess_a") == 1


# -- history


def test_history_prints_one_action_per_line_newest_first(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, encode(document([0] * 30)))
    with unchanged(valkey):
        result = awictl.ok("session", "history", SESSION_ID)
        table = awictl.ok("session", "history", SESSION_ID, "--limit", "3", "-o", "table").table()
    assert [row["t"] for row in result.rows] == list(range(29, 9, -1))
    assert "20 of 30" in result.err
    assert [name for name in ("page 29", "page 28", "page 27", "page 26") if name in table][-1] == "page 27"


def test_history_pages_do_not_overlap(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0] * 7)))
    page = awictl.ok("session", "history", SESSION_ID, "--limit", "3", "--offset", "2", "-o", "json", "-q")
    assert page.err == ""
    shown = page.json
    assert [row["t"] for row in shown.pop("trajectory")] == [4, 3, 2]
    assert shown == {"session_id": SESSION_ID, "total": 7, "limit": 3, "offset": 2}
    assert awictl.ok("session", "history", SESSION_ID, "--offset", "7").rows == []
    assert awictl.ok("session", "history", SESSION_ID, "--limit", "0").rows == []


def test_history_in_a_pipe_with_jq(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0])))
    awictl.ok("session", "apply", SESSION_ID, "--action", "get_post", "--failed")
    script = """awictl session history "$1" | jq -r 'select(.success == false) | .action'"""
    assert awictl.shell(script, SESSION_ID).text == "get_post\n"


# -- touch


def pretty(document: dict[str, Any]) -> bytes:
    """An indented document, as written by hand."""
    return json.dumps(document, indent=2).encode()


@pytest.mark.parametrize("layout", [*LAYOUTS.values(), pretty], ids=[*LAYOUTS, "pretty-printed"])
def test_touch_extends_the_ttl_and_rewrites_nothing(awictl: Cli, valkey: ValkeyServer, layout: Layout) -> None:
    raw = layout(document([0]))
    put(valkey, raw, seconds=60)
    valkey.raw.set(agent_key(), SESSION_ID, ex=60)
    assert awictl.ok("session", "touch", SESSION_ID).rows == [{"session_id": SESSION_ID, "ttl_ms": HALF_HOUR_MS}]
    assert stored(valkey) == raw
    for key in (session_key(), agent_key()):
        assert HALF_HOUR_MS - 30_000 < expires_in(valkey, key) <= HALF_HOUR_MS


def test_touch_leaves_the_mapping_of_an_agent_that_has_a_newer_session(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, encode(document([0])), seconds=60)
    valkey.raw.set(agent_key(), "sess_newer", ex=60)
    awictl.ok("session", "touch", SESSION_ID)
    assert expires_in(valkey, agent_key()) <= 60_000


def test_touch_continues_after_a_missing_session(awictl: Cli, valkey: ValkeyServer) -> None:
    for name in ("sess_a", "sess_b"):
        put(valkey, compact(document([0], name)), name, seconds=60)
    result = awictl("session", "touch", "sess_a", "sess_missing", "sess_b", "-o", "ids")
    result.error(3, "sess_missing")
    assert result.lines == ["sess_a", "sess_b"]
    assert min(expires_in(valkey, session_key(name)) for name in ("sess_a", "sess_b")) > 60_000


# -- agent session


def test_agent_session_prints_the_current_session(awictl: Cli, valkey: ValkeyServer) -> None:
    session_id = created(awictl, "agent with spaces 🙂")
    with unchanged(valkey):
        found = awictl.ok("agent", "session", "agent with spaces 🙂").json
    assert 0 < found.pop("ttl_ms") <= HALF_HOUR_MS
    expected = {"agent_id": "agent with spaces 🙂", "session_id": session_id, "session_exists": True}
    assert found == expected | {"other_sessions": []}
    script = "awictl agent session 'agent with spaces 🙂' -o ids | awictl session show - | jq -r .session_id"
    assert awictl.shell(script).lines == [session_id]


def test_agent_session_reports_a_missing_session(awictl: Cli, valkey: ValkeyServer) -> None:
    valkey.raw.set(agent_key("lost"), "sess_gone", ex=60)
    result = awictl.ok("agent", "session", "lost")
    assert result.json["session_exists"] is False and "sess_gone" in result.err
    awictl("agent", "session", "nobody").error(3, "nobody")
