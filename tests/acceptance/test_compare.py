"""`session compare`: two sessions, or one and a file, on a terminal and in a pipe."""

from __future__ import annotations

import copy
import json

import pytest
from support.cli import Cli, unchanged
from support.documents import compact, put
from support.runs import COMMON, FIRST, SECOND, did, put_two_runs, run
from support.valkey import ValkeyServer

from awictl.document.byte_layout import encode

COMPARE = ["session", "compare", FIRST, SECOND]
HOSTILE = "\x1b[2J\x1b]0;x\x07\u202e"


@pytest.fixture
def two(awictl: Cli, valkey: ValkeyServer) -> Cli:
    """Two runs that part at action 5, after their states have parted at action 4."""
    put_two_runs(valkey)
    return awictl


def test_where_two_runs_part(two: Cli, valkey: ValkeyServer) -> None:
    with unchanged(valkey):
        found = two.ok(*COMPARE)
    assert found.err == ""
    shown = found.json
    assert shown["first"] == {"session_id": FIRST, "file": None, "total": 7, "gaps": []}
    assert (shown["equal"], shown["exact"]) == (False, True)
    assert shown["counts"] == {"equal": 4, "outcome": 2, "first": 1, "second": 2}
    place = shown["divergence"]
    assert (place["first"]["action"], place["first"]["ordinal"]) == ("search", 5)
    assert (place["second"]["action"], place["second"]["ordinal"]) == ("sort", 5)
    assert place["states_before"] == {"delta": {"page_state": {"route": "/b"}}, "removed": [], "unknown": []}
    assert shown["other_outcome"]["first"]["ordinal"] == 3
    assert shown["other_outcome"]["differs"] == ["success", "observation"]
    assert [one["kind"] for one in shown["actions"]] == [
        *["equal"] * 3,
        *["outcome"] * 2,
        *["first", "second", "second"],
        "equal",
    ]


def test_on_a_terminal_of_80_columns(two: Cli) -> None:
    text = two.on_screen(*COMPARE, "--no-color").text
    lines = [line.rstrip() for line in text.splitlines()]
    assert max(map(len, lines)) <= 80
    words = " ".join(text.split())
    assert 'The first divergence is at action 5: the first did search {"q":"awi"}, the second sort.' in words
    assert "The first action with another outcome is action 3, open: it differs in success, observation." in words
    assert "Just before the divergence, the states differed in these fields:" in words
    assert "/page_state/route /a /b" in words
    table = [line.split() for line in lines]
    assert ["0-2", "…", "3", "equal", "0-2", "…"] in table
    assert ["3", "open", "other", "outcome", "3", "FAILED", "open"] in table
    assert ["5", "search", '{"q":"awi"}', "different", "5", "sort"] in table
    assert ["only", "second", "6", "get_post", '{"id":7}'] in table
    assert ["6", "end", "equal", "7", "end"] in table
    assert lines[-1] == "4 equal, 2 with another outcome, 1 only in the first, 2 only in the second"


def test_exit_codes(two: Cli) -> None:
    assert two(*COMPARE, "--exit-code").code == 1
    same = two("session", "compare", FIRST, FIRST, "--exit-code")
    assert same.code == 0 and same.json["equal"] is True and same.json["divergence"] is None
    assert "Both runs have the same actions." in two.on_screen("session", "compare", FIRST, FIRST).text
    two("session", "compare", FIRST, "sess_missing").error(3, "sess_missing")


@pytest.mark.parametrize("how", ["file", "file without a dot", "folder", "stdin"])
def test_a_session_and_a_file(two: Cli, how: str) -> None:
    printed = two.ok("session", "show", SECOND).out
    name = {"file": "second.json", "file without a dot": "second", "folder": f"./{SECOND}", "stdin": "-"}[how]
    if how != "stdin":
        (two.home / name).write_bytes(json.dumps(json.loads(printed), indent=2).encode())
    found = two.ok("session", "compare", FIRST, name, stdin=printed if how == "stdin" else b"").json
    assert found.pop("second") == {"session_id": SECOND, "file": name, "total": 8, "gaps": []}
    whole = two.ok(*COMPARE).json
    assert whole.pop("second") and found == whole


def test_a_session_and_an_exported_file(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    """The whole trajectory is in the file, also what is only in the archive."""
    user = sqlite_user.having(AWI_MAX_ACTIONS_PER_SESSION="5")
    for name in (FIRST, SECOND):
        put(valkey, encode(run(name, [did(f"{number}") for number in range(8)])), name)
        user.ok("session", "apply", name, "--action", "more")  # trims
    user.ok("session", "apply", SECOND, "--action", "only second")
    user.ok("session", "export", SECOND, "-f", "one.jsonl")
    user.ok("session", "export", FIRST, SECOND, "-f", "both.jsonl")
    for other, file, counts in (
        (FIRST, "one.jsonl", {"equal": 10, "outcome": 0, "first": 0, "second": 1}),
        (FIRST, "both.jsonl", {"equal": 10, "outcome": 0, "first": 0, "second": 0}),
        (SECOND, "both.jsonl", {"equal": 11, "outcome": 0, "first": 0, "second": 0}),
    ):
        found = user.ok("session", "compare", other, file)
        assert (found.json["counts"], found.err) == (counts, ""), (other, file)
        assert found.json["second"]["gaps"] == []
    piped = user.ok("session", "compare", "-", SECOND, stdin=(user.home / "one.jsonl").read_bytes())
    assert piped.json["equal"] is True
    user.ok("session", "export", SECOND, "--redact", "email", "-f", "shared.jsonl")
    assert "shared.jsonl is redacted: " in user.ok("session", "compare", SECOND, "shared.jsonl").err
    user("session", "compare", "one.jsonl", "both.jsonl").error(2, "both.jsonl has 2 sessions: pass the id of one")
    user("session", "compare", "sess_third", "both.jsonl").error(2, "none of them is sess_third")
    cut = (user.home / "one.jsonl").read_bytes()[:-300]
    (user.home / "cut.jsonl").write_bytes(cut)
    user("session", "compare", SECOND, "cut.jsonl").error(6, "cut.jsonl, line ", "was cut off")
    (user.home / "none.jsonl").write_bytes(
        b'{"awictl_export":1,"redaction":null}\n{"end":{"sessions":0,"actions":0,"redacted":{}}}\n'
    )
    user("session", "compare", SECOND, "none.jsonl").error(2, "none.jsonl has no session")


def test_two_files_need_no_server(user: Cli) -> None:
    offline = user.having(REDIS_HOST="127.0.0.1", REDIS_PORT="1")
    for name in ("a.json", "b.json"):
        (user.home / name).write_bytes(compact(run(FIRST, COMMON)))
    assert offline.ok("session", "compare", "a.json", "b.json").json["equal"] is True


def test_an_archived_session_and_one_with_a_gap(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    made = run(FIRST, COMMON)
    put(valkey, encode(made), FIRST)
    cut = copy.deepcopy(made) | {"session_id": SECOND}
    cut["history"] |= {"actions": cut["history"]["actions"][1:], "trimmed_actions": 1}
    put(valkey, encode(cut), SECOND)
    sqlite_user.ok("session", "end", FIRST, "-q")
    found = sqlite_user.ok(*COMPARE)
    assert f"{FIRST} is read from the archive" in found.err
    assert f"actions of {SECOND} are missing: 0 (counted from 0)" in found.err
    assert found.json["second"]["gaps"] == [{"from": 0, "to": 0, "count": 1}]
    assert [one["kind"] for one in found.json["actions"]] == ["first", "equal", "equal", "first"]
    assert found.json["divergence"]["states_before"] is None
    assert "action 0 of the first and 1 of the second" in " ".join(sqlite_user.on_screen(*COMPARE).text.split())


def test_hostile_texts_do_not_control_the_terminal(awictl: Cli, valkey: ValkeyServer) -> None:
    for name, text in ((FIRST, HOSTILE), (SECOND, HOSTILE + "2")):
        action = did(text, input={text: text}, delta={text: text})
        put(valkey, encode(run(name, [did("x", delta={text: text}), action])), name)
    assert "\\x1b" in awictl.ok(*COMPARE, "-o", "table").table()


@pytest.mark.parametrize(
    ("content", "code", "fragments"),
    [
        (None, 2, ["'nowhere' is neither a session id (it would begin with sess_) nor a file"]),
        (b"", 6, ["nowhere", "not valid JSON"]),
        (b"[1]", 6, ["nowhere is not a session document"]),
        (b"{}", 6, ["nowhere: not a session document"]),
        (b"x" * 2000, 2, ["nowhere is larger than 1,024 bytes"]),
    ],
)
def test_files_that_are_no_sessions(two: Cli, content: bytes | None, code: int, fragments: list[str]) -> None:
    if content is not None:
        (two.home / "nowhere").write_bytes(content)
    limited = two.having(AWI_MAX_DOCUMENT_BYTES="1024") if content and len(content) > 1024 else two
    limited("session", "compare", FIRST, "nowhere").error(code, *fragments)


def test_stdin_is_read_only_once(two: Cli) -> None:
    two("session", "compare", "-", "-").error(2, "only one of the two sessions")
