"""Tables on terminals of 80 × 24 and 200 columns: with the longest ids, long values, and very many rows."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from rich.cells import cell_len
from support.cli import Cli
from support.documents import compact, document, put, session_key
from support.terminal import CTRL_C, on_terminal
from support.valkey import ValkeyServer

from awictl.document.byte_layout import encode

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
#: Session ids of the maximum length.
LONG, OTHER = "sess_" + "a" * 64, "sess_" + "b" * 64
CACHE_KEY = "0" * 32
IMAGE = "image-" + "i" * 60
NAME = "An agent with a name that is too long for any terminal " * 3


@pytest.fixture
def crowded(awictl: Cli, valkey: ValkeyServer) -> Cli:
    """A user with sessions, caches, agents and an archive in which ids and values have their maximum length."""
    user = awictl.having(AWI_ARCHIVE_URL=f"sqlite:///{awictl.home}/archive.db")
    for session_id in (LONG, OTHER):
        made = document([300] * 3, session_id, agent_id="agent-" + "x" * 60, agent_name=NAME)
        made["page_state"] |= {"route": "/api/" + "long/" * 60, "filters": {"tag": "t" * 200}}
        put(valkey, encode(made), session_id)
        valkey.raw.set(f"AWI:DIFF:{session_id}", compact({"delta": made["page_state"], "action": {}}), ex=300)
    for session_id in ("sess_" + "c" * 64, "sess_" + "d" * 64):
        put(valkey, encode(document([0], session_id)), session_id)
        user.ok("session", "end", session_id)
    valkey.raw.set(f"AWI:CACHE:LIST:{CACHE_KEY}", compact([{}]), ex=300)
    cached = document([0], "sess_" + "e" * 64, query_cache={"active_cache_key": CACHE_KEY, "cached_at": "x"})
    put(valkey, encode(cached), cached["session_id"])
    valkey.raw.set(f"MEDIA:IMG:{IMAGE}", compact({"thumbnail_url": "u" * 300, "embedding_key": IMAGE}), ex=300)
    valkey.raw.set(f"MEDIA:EMBED:{IMAGE}", compact([1.0, 2.0]), ex=300)
    valkey.raw.set(f"MEDIA:EMBED:{IMAGE}2", compact([1.0, 2.5]), ex=300)
    for name in ("first", NAME.strip()):
        user.ok("agent", "register", name)
    return user


#: Commands, the titles of columns that each shows at 80 columns, and the ids that it prints.
TABLES: list[tuple[list[str], list[str], list[str]]] = [
    (["session", "list"], ["SESSION", "AGENT", "STATE", "TTL"], [LONG, OTHER]),
    (["session", "list", "--sort", "bytes"], ["SESSION", "BYTES"], [LONG, OTHER]),
    (["session", "list", "--sort", "actions"], ["SESSION", "ACTIONS"], [LONG]),
    (["session", "list", "--sort", "activity"], ["SESSION", "IDLE"], [LONG]),
    (["session", "list", "--sort", "route"], ["SESSION", "ROUTE"], [LONG]),
    (["session", "show", LONG], ["T", "TIME", "ACTION"], [LONG]),
    (["session", "history", LONG], ["T", "TIME", "ACTION"], []),
    (["session", "diff", LONG], ["T", "TIME"], []),
    (["session", "diff", LONG, "sess_" + "e" * 64], ["FIELD", "FIRST", "SECOND"], []),
    (["session", "touch", LONG, OTHER], ["SESSION", "TTL"], [LONG, OTHER]),
    (["session", "end", "--dry-run", LONG, OTHER], ["SESSION", "AGENT", "ARCHIVE"], [LONG, OTHER]),
    (["archive", "list"], ["SESSION", "AGENT", "LAST ACTIVITY"], ["sess_" + "c" * 64]),
    (["archive", "show", "sess_" + "c" * 64], ["T", "TIME"], ["sess_" + "c" * 64]),
    (["archive", "restore", "--dry-run", "sess_" + "c" * 64], ["SESSION", "AGENT", "EXPIRES IN"], ["sess_" + "c" * 64]),
    (["archive", "sweep", "--dry-run", "--margin", "1h"], ["SESSION", "REASON", "EXPIRES IN", "BYTES"], [LONG, OTHER]),
    (["agent", "list"], ["AGENT", "NAME", "STATE", "LAST USED", "SESSION"], []),
    (["cache", "list"], ["KEY", "TTL", "RESULTS", "SESSIONS"], [CACHE_KEY, "sess_" + "e" * 64]),
    (["cache", "delete", "--dry-run", CACHE_KEY], ["KEY", "DELETED"], [CACHE_KEY]),
    (["cache", "diagnose", "--filters", '{"a":1}'], [], []),
    (["media", "list"], ["IMAGE", "THUMBNAIL", "TTL"], [IMAGE]),
    (["media", "similar", IMAGE], ["IMAGE", "SCORE"], []),
    (["media", "delete", "--dry-run", IMAGE], ["IMAGE"], [IMAGE]),
    (["keys", "list"], ["KEY", "KIND", "TTL", "BYTES"], [session_key(OTHER)[-69:], LONG]),
    (["keys", "stats"], ["KIND", "KEYS", "BYTES", "LARGEST"], []),
    (["keys", "ttl"], ["KIND", "EXPIRES IN", "KEYS"], []),
    (["config", "show"], ["SETTING", "VALUE", "SOURCE"], []),
    (["doctor"], [], []),
]


@pytest.mark.parametrize("columns", [80, pytest.param(200, marks=pytest.mark.soak)])
def test_every_table_keeps_ids_and_titles_whole(crowded: Cli, columns: int) -> None:
    for words, titles, ids in TABLES:
        text = _STYLE.sub("", crowded.on_screen(*words, columns=columns).text)
        lines = text.splitlines()
        for one in ids:
            # an id that is wider than the terminal continues in the next line
            assert one in text or one in text.replace("\n", ""), f"{words}: {one} is cut\n{text}"
            assert any(one in line for line in lines) or len(one) > columns or "keys" in words, text
        if titles:
            pattern = r"\s+".join(map(re.escape, titles)) if columns == 80 else titles[0]
            headings = [line for line in lines if set(titles) <= set(re.split(r"\s{2,}", line.strip()))]
            assert headings, f"{words}: {pattern}\n{text}"
        tables = [line for line in lines if not line.startswith(("profile: ", "http", "next page"))]
        assert all(cell_len(line) <= columns for line in tables if "could not" not in line), f"{words}\n{text}"
        assert not re.search(r"^ *[A-Z]\n *[A-Z]\n", text, re.MULTILINE), "a vertical title"
        assert "…" not in "".join(line for line in lines if re.search(r"sess_\w*…", line)), text


def test_rows_appear_while_they_are_found(awictl: Cli, valkey: ValkeyServer) -> None:
    raw = compact(document([0]))
    with valkey.raw.pipeline() as pipe:
        for number in range(1_500):
            pipe.set(session_key(f"sess_{number:032x}"), raw, ex=1000)
        pipe.execute()
    for words in (["session", "list"], ["keys", "list"]):
        with on_terminal(awictl, *words, "--rate", "50") as terminal:  # half a minute
            terminal.until("sess_0000")
            assert terminal.process.isalive() and b"1,500 " not in terminal.sent
            terminal.press(CTRL_C)
            assert terminal.end() == 130
        with on_terminal(awictl, *words, "--rate", "5000") as terminal:
            assert terminal.end() == 0
            assert "1,500 " in terminal.text
            assert terminal.sent.count(b"sess_0000") == 1_500
            heads = [line for line in terminal.sent.split(b"\r\n") if b"SESSION" in line or b"KIND" in line]
            assert len([line for line in heads if b"TTL" in line]) == 1


def test_the_number_of_sessions_is_printed(awictl: Cli, valkey: ValkeyServer) -> None:
    for number in range(9):
        agent = {"agent_id": f"a{number % 3}", "agent_name": f"agent {number % 3}"}
        put(valkey, compact(document([0], f"sess_{number}", **agent)), f"sess_{number}")

    def last_line(*words: str) -> str:
        return awictl.on_screen("session", "list", *words).text.splitlines()[-1]

    assert last_line() == "9 sessions"
    assert last_line("--agent", "a1") == "3 of 9 sessions"
    assert last_line("--sort", "id", "--limit", "2") == "9 sessions, 2 shown (--limit)"
    assert last_line("--limit", "2") == "2 sessions (--limit; there may be more)"
    assert awictl.on_screen("session", "list", "--agent", "nobody").text == "no session matches (9 live)\n"
    assert awictl.ok("session", "list", "--agent", "nobody", "-o", "table").err == "no session matches (9 live)\n"
    assert awictl.ok("session", "list").err == "", "JSON comes without a count"
    valkey.raw.flushall()
    assert awictl.on_screen("session", "list", "--agent", "nobody").text == "no live sessions\n"


def test_unreadable_sessions_are_named(awictl: Cli, valkey: ValkeyServer) -> None:
    for number in range(13):
        put(valkey, b"{", f"sess_bad{number:02}")
    put(valkey, compact(document([0])))
    notice = awictl.ok("session", "list").err
    assert notice.startswith("13 sessions could not be read: sess_bad")
    assert len(set(re.findall(r"sess_bad\d\d", notice))) == 10 and " and 3 more; " in notice
    rows = {row["session_id"]: row["state"] for row in awictl.ok("session", "list").rows}
    assert rows["sess_test"] == "live" and rows["sess_bad00"] == "unreadable"


def test_several_sessions_are_separated(awictl: Cli, valkey: ValkeyServer) -> None:
    for session_id in ("sess_a", "sess_b"):
        put(valkey, compact(document([0], session_id)), session_id)
    text = awictl.on_screen("session", "show", "sess_a", "sess_b").text
    lines = _STYLE.sub("", text).splitlines()
    assert lines[0] == "── sess_a" and "── sess_b" in lines
    assert "── " not in awictl.on_screen("session", "show", "sess_a").text
    assert len(awictl.ok("session", "show", "sess_a", "sess_b").rows) == 2
    yaml = awictl.ok("session", "show", "sess_a", "sess_b", "-o", "yaml").text
    assert yaml.count("---\n") == 2


def test_the_view_of_a_session_says_how_many_actions_it_leaves_out(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, encode(document([0] * 101)))
    text = awictl.on_screen("session", "show", "sess_test").text
    hint = re.search(r"last 10 of 101 actions; all: awictl (.+)", text)
    assert hint is not None, text
    assert len(awictl.ok(*hint[1].split()).rows) == 101
    put(valkey, encode(document([0] * 10)))
    assert "actions; all" not in awictl.on_screen("session", "show", "sess_test").text


def test_equal_states_have_no_table(awictl: Cli, valkey: ValkeyServer) -> None:
    for session_id in ("sess_a", "sess_b"):
        put(valkey, compact(document([0], session_id)), session_id)
    assert awictl.on_screen("session", "diff", "sess_a", "sess_b").text == "the states are equal\n"
    assert awictl.ok("session", "diff", "sess_a", "sess_b").json == {"delta": {}, "removed": []}


def test_times_are_marked(awictl: Cli, valkey: ValkeyServer) -> None:
    made = document([0])
    moment = made["history"]["actions"][0]["timestamp"] = "2026-11-23T23:30:41.403Z"
    put(valkey, compact(made))
    user = awictl.having(TZ="Asia/Kathmandu")
    assert "2026-11-23 23:30:41.403Z" in user.on_screen("session", "history", "sess_test").text
    for words in (["--local", "session", "history", "sess_test"], ["session", "history", "sess_test", "--local"]):
        assert "2026-11-24 05:15:41.403+05:45" in user.on_screen(*words).text
    [row] = user.ok("session", "history", "sess_test", "--local").rows
    assert row["timestamp"] == moment
    started = made["statistics"]["session_start"]
    shown = datetime.fromisoformat(started).astimezone(UTC).isoformat(" ", "milliseconds").replace("+00:00", "Z")
    assert shown in user.on_screen("session", "show", "sess_test").text


def test_doctor_prints_a_summary_and_problems_first(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, b"{", "sess_bad")
    lines = _STYLE.sub("", awictl.on_screen("doctor").text).splitlines()
    results = [line.split()[0] for line in lines if line.startswith(("ok ", "WARN ", "FAIL "))]
    counts = {name: results.count(name) for name in ("FAIL", "WARN", "ok")}
    warnings = f"{counts['WARN']} warning{'s' if counts['WARN'] != 1 else ''}"
    assert lines[0] == f"{counts['FAIL']} failed, {warnings}, {counts['ok']} passed"
    assert results == sorted(results, key=["FAIL", "WARN", "ok"].index) and counts["FAIL"] >= 1


def test_doctor_breaks_no_key(awictl: Cli, valkey: ValkeyServer) -> None:
    session_id = "sess_" + "x" * 58
    put(valkey, b"{", session_id)
    lines = awictl.on_screen("doctor", "--no-color").text.splitlines()
    assert any(session_key(session_id) in line for line in lines)
    assert "" not in lines[:-1] and all(len(line) <= 80 for line in lines)


def test_a_progress_bar_is_shown_until_the_first_row(awictl: Cli, valkey: ValkeyServer) -> None:
    raw = compact(document([0]))
    with valkey.raw.pipeline() as pipe:
        for number in range(1_500):
            pipe.set(session_key(f"sess_{number:032x}"), raw, ex=1000)
        pipe.execute()
    for words, shown in (
        (["session", "list", "--sort", "id", "--limit", "3"], "reading sessions"),
        (["session", "list", "--agent", "nobody"], "reading sessions"),
        (["keys", "list", "--kind", "image"], "scanning keys"),
    ):
        with on_terminal(awictl, *words, "--rate", "1000") as terminal:
            terminal.until(shown)
            assert "sess_0" not in terminal.text
            assert terminal.end() == 0
            assert shown not in terminal.text, "it is gone at the end"
            assert ("sess_" + "0" * 31 + "2" in terminal.text) is ("--sort" in words)
