"""`awictl session end` and `awictl archive` on a real Valkey and with both kinds of archive."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pexpect
import pytest
from support.cli import LIMIT_SECONDS, Cli, finish, unchanged
from support.documents import DATA, assert_same, compact, document, put
from support.mongo import MongoServer
from support.valkey import ValkeyServer, free_port

from awictl import Settings, StateManager

APP_SESSIONS = sorted(DATA.glob("session_0*.json"))


def begin(user: Cli, agent: str = "browser-1", failed: int = 0) -> str:
    """Create a session with one successful action and `failed` failed ones; return its id."""

    async def made() -> str:
        async with StateManager.open(Settings.load(environ=user.env)) as manager:
            session_id: str = (await manager.initialize_session(agent, agent, "/posts"))["session_id"]
            delta = {"page_state": {"filters": {"a.b": {"$in": [1]}}}}
            await manager.update_state_with_delta(session_id, delta, {"action": "filter"})
            for _ in range(failed):
                await manager.update_state_with_delta(session_id, {}, {"action": "get_post", "success": False})
            return session_id

    return asyncio.run(made())


def spawn(user: Cli, *words: str, columns: int = 120) -> pexpect.spawn:
    return pexpect.spawn(
        sys.executable,
        ["-m", "awictl", *words],
        cwd=str(user.home),
        env=dict(user.env),
        dimensions=(40, columns),
        timeout=LIMIT_SECONDS,
        encoding="utf-8",
    )


# -- session end


def test_an_ended_session_can_be_read_from_the_archive(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    session_id = begin(sqlite_user)
    raw = valkey.raw.get(f"AWI:SESSION:{session_id}")
    before = json.loads(raw)
    ended = sqlite_user.ok("session", "end", session_id).rows
    assert [(one["session_id"], one["actions"]) for one in ended] == [(session_id, 3)]
    assert ended[0]["archive"] == f"sqlite:///{sqlite_user.home}/archive.db" and ended[0]["ended_at"]
    assert valkey.raw.keys() == []

    shown = sqlite_user.ok("session", "show", session_id)
    assert f"{session_id} is read from the archive at sqlite:///" in shown.err and "not live" in shown.err
    assert_same(shown.json["page_state"], before["page_state"])
    assert shown.json["statistics"]["session_end"] == ended[0]["ended_at"]
    assert sqlite_user.ok("session", "show", session_id, "-q").err == ""
    history = sqlite_user.ok("session", "history", session_id, "--limit", "2")
    assert [one["action"] for one in history.rows] == ["session_end", "filter"]
    assert "is read from the archive" in history.err and "2 of 3 actions" in history.err
    assert sqlite_user.ok("session", "end", session_id).rows == ended, "again is as well"

    sqlite_user("session", "apply", session_id, "{}").error(3, "awictl archive restore", session_id)
    sqlite_user("session", "touch", session_id).error(3, "awictl archive restore")
    assert sqlite_user.ok("archive", "restore", session_id).rows[0]["agent_session"] == session_id
    assert sqlite_user.ok("archive", "restore", session_id).rows[0]["agent_session"] == session_id, "already done"
    live = sqlite_user.ok("session", "show", session_id, "-o", "raw")
    assert live.err == "" and live.out == sqlite_user.ok("archive", "show", session_id, "-o", "raw").out
    assert sqlite_user.ok("session", "apply", session_id, '{"again":1}').json["again"] == 1
    sqlite_user("archive", "restore", session_id).error(4, "is live there")


def test_end_requires_an_archive(awictl: Cli, valkey: ValkeyServer) -> None:
    session_id = begin(awictl)
    with unchanged(valkey):
        awictl("session", "end", session_id).error(4, "MONGODB_URI", "--archive URL", "--discard --yes")
        awictl("archive", "list").error(4, "no archive is configured")
        awictl("archive", "sweep").error(4, "no archive is configured")
        awictl("session", "end", session_id, "--discard").error(4, "--yes")
        assert awictl.ok("session", "end", session_id, "--discard", "--dry-run").rows[0]["archive"] is None
    assert not list(awictl.home.glob("*.db")), "no local archive is created unless requested"
    url = "sqlite:///asked.db"
    assert awictl.ok("session", "end", session_id, "--archive", url).rows[0]["archive"].endswith("asked.db")
    assert (awictl.home / "asked.db").is_file()


def test_discard_asks_for_confirmation(awictl: Cli, valkey: ValkeyServer) -> None:
    first, second = begin(awictl), begin(awictl, "browser-2")
    for answer, code in (("n\n", 1), ("\x03", 130), ("\x04", 130)):
        process = spawn(awictl, "session", "end", first, "--discard")
        process.expect("without archiving")
        process.send(answer)
        process.expect(pexpect.EOF)
        process.close()
        assert process.exitstatus == code
    assert valkey.raw.exists(f"AWI:SESSION:{first}")
    process = spawn(awictl, "session", "end", first, "--discard")
    process.expect("without archiving")
    process.send("y\n")
    process.expect("discarded")
    process.expect(pexpect.EOF)
    assert awictl.ok("session", "end", second, "--discard", "--yes", "-o", "ids").text == f"{second}\n"
    assert valkey.raw.keys() == []
    awictl("session", "end", first, "--discard", "--yes").error(3, first)


def test_end_continues_after_an_error(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    good = [begin(sqlite_user, "a"), begin(sqlite_user, "b")]
    valkey.raw.set("AWI:SESSION:sess_bad", b"no JSON")
    result = sqlite_user("session", "end", "-", stdin=f"{good[0]}\nsess_missing\nsess_bad {good[1]}\n".encode())
    assert [one["session_id"] for one in result.rows] == good
    assert result.code == 3 and result.err.count("\n") == 2
    assert "sess_missing" in result.err and "sess_bad cannot be archived" in result.err
    sqlite_user("session", "end", "sess_bad").error(6, "not valid JSON")
    valkey.raw.set("AWI:SESSION:sess_of_another", json.dumps(json.loads(APP_SESSIONS[0].read_bytes())), px=60_000)
    with unchanged(valkey):
        sqlite_user("session", "end", "sess_of_another").error(6, "another session")
    valkey.raw.delete("AWI:SESSION:sess_of_another")
    assert valkey.raw.keys() == [b"AWI:SESSION:sess_bad"]


def test_end_stops_when_the_archive_is_unreachable(awictl: Cli, valkey: ValkeyServer) -> None:
    ids = [f"sess_{number:02}" for number in range(30)]
    for one in ids:
        put(valkey, compact(document([0], session_id=one)), one)
    away = awictl.having(MONGODB_URI=f"mongodb://127.0.0.1:{free_port()}/awi")
    for words, stdin in ((ids, b""), (["-"], "\n".join(ids).encode())):
        result = away("--timeout", "0.5", "session", "end", *words, stdin=stdin)
        assert (result.code, result.out) == (5, b"")
        *errors, notice = result.err.splitlines()
        assert len(errors) == 8 and all("cannot reach MongoDB" in one for one in errors), "the first batch"
        assert notice.startswith("0 done, 8 failed; 22 not tried, because ")
        with valkey.raw.pipeline() as pipe:
            for one in ids:
                pipe.pttl(f"AWI:SESSION:{one}")
            assert [ttl for ttl in pipe.execute() if ttl > 0] == pytest.approx([1e6] * 22, rel=0.5), "untouched"


def test_end_handles_several_sessions_at_once(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    """In their order, and each of them once."""
    ids = [f"sess_{number:02}" for number in range(20)]
    for one in ids:
        put(valkey, compact(document([0], session_id=one)), one)
    result = sqlite_user.ok("session", "end", *ids, ids[0])
    assert [one["session_id"] for one in result.rows] == ids and valkey.raw.keys() == []


@pytest.mark.parametrize("file", APP_SESSIONS, ids=lambda file: file.stem)
def test_a_document_of_the_app_is_archived_and_restored(mongo_user: Cli, valkey: ValkeyServer, file: Path) -> None:
    raw = file.read_bytes()
    session_id = json.loads(raw)["session_id"]
    key = f"AWI:SESSION:{session_id}"
    valkey.raw.set(key, raw, px=60_000)
    assert mongo_user.ok("archive", "sweep", "--margin", "2m").json["archived"] == 1
    assert mongo_user.ok("archive", "show", session_id, "-o", "raw").out == raw
    valkey.raw.delete(key)
    mongo_user.ok("archive", "restore", session_id)
    assert valkey.raw.get(key) == raw
    mongo_user.ok("session", "end", session_id)
    assert mongo_user.ok("archive", "show", session_id).json["history"]["last_action"]["action"] == "session_end"


def test_a_read_only_profile_ends_nothing(mongo_user: Cli, valkey: ValkeyServer, mongo: MongoServer) -> None:
    ended, live = begin(mongo_user), begin(mongo_user, "browser-2")
    mongo_user.ok("session", "end", ended)
    reader = mongo_user.having(AWI_READ_ONLY="1")
    documents = list(mongo.sessions.find())
    with unchanged(valkey):
        for words in (
            ("session", "end", live),
            ("session", "end", live, "--discard", "--yes"),
            ("archive", "restore", ended),
            ("archive", "sweep", "--margin", "31m"),
        ):
            reader(*words).error(4, "read-only")
        for words in (
            ("archive", "list"),
            ("archive", "show", ended),
            ("archive", "stats"),
            ("archive", "export"),
            ("archive", "sweep", "--dry-run", "--margin", "31m"),
            ("archive", "restore", ended, "--dry-run"),
            ("session", "show", ended),
            ("health",),
        ):
            assert reader.ok(*words).out
    assert list(mongo.sessions.find()) == documents


# -- list, show, stats, export


def test_list_stats_and_export(mongo_user: Cli, mongo: MongoServer) -> None:
    ids = [begin(mongo_user, f"browser-{number % 2}", failed=number % 3) for number in range(4)]
    mongo_user.ok("session", "end", *ids)
    last_active = datetime.now(UTC) - timedelta(days=2)
    app_ids = list(mongo.put_app_documents(last_active=last_active))

    listed = mongo_user.ok("archive", "list").rows
    assert [one["session_id"] for one in listed[:4]] == ids[::-1], "the latest first"
    assert [one["shape"] for one in listed] == ["awictl"] * 4 + ["app"] * 2
    pages, cursor = [], []
    while True:
        page = mongo_user.ok("archive", "list", "--limit", "4", "-o", "json", *cursor).json
        pages.append([one["session_id"] for one in page["sessions"]])
        if page["next_cursor"] is None:
            break
        cursor = ["--cursor", page["next_cursor"]]
    assert pages == [[one["session_id"] for one in listed[:4]], [one["session_id"] for one in listed[4:]]]
    assert f"--cursor {cursor[1]}" in mongo_user.ok("archive", "list", "--limit", "4").err

    def ids_of(*words: str) -> list[str]:
        return mongo_user.ok("archive", "list", "-o", "ids", *words).lines

    assert ids_of("--agent", "browser-1") == [ids[3], ids[1]]
    assert ids_of("--failed") == [ids[2], ids[1]]
    assert sorted(ids_of("--agent", "BrowserUseAgent")) == sorted(app_ids)
    everyone = ids_of("--all")
    assert everyone == [one["session_id"] for one in listed]
    assert ids_of("--since", "1d") == everyone[:4] and ids_of("--until", "1d") == everyone[4:]
    assert ids_of("--since", "3d") == everyone and ids_of("--until", "3d") == []
    later = (last_active + timedelta(minutes=20)).strftime("%Y-%m-%dT%H:%MZ")
    assert ids_of("--since", later) == everyone[:4] and ids_of("--until", later) == everyone[4:]
    assert ids_of("--since", f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}") == []

    stats = mongo_user.ok("archive", "stats", "--agent", "browser-0").json
    assert (stats["sessions"], stats["actions"], stats["failed_actions"]) == (2, 4, 2)
    assert stats["success_rate"] == 0.5
    assert stats["most_used_actions"] == [
        {"action": "filter", "count": 2, "failed": 0},
        {"action": "get_post", "count": 2, "failed": 2},
    ]
    everything = mongo_user.ok("archive", "stats").json
    assert everything["sessions"] == 6 and everything["active"] == 1, "sessions archived by the app are counted"
    assert sum(day["actions"] for day in everything["days"]) == everything["actions"] == 4 + 3 + 1 + 2

    lines = mongo_user.ok("archive", "export", "--agent", "browser-1").rows
    assert [one["session_id"] for one in lines] == [ids[3], ids[1]]
    actions = mongo_user.ok("archive", "export", "--actions", ids[2]).rows
    assert [one["action"] for one in actions] == ["session_start", "filter", "get_post", "get_post", "session_end"]
    assert {(one["session_id"], one["agent_id"]) for one in actions} == {(ids[2], "browser-0")}
    assert len(mongo_user.ok("archive", "export", "-", stdin=" ".join(ids).encode()).rows) == 4
    piped = mongo_user.shell('awictl archive export --actions | head -1; echo "${PIPESTATUS[0]}"')
    assert piped.lines[-1] in ("0", "141") and "Traceback" not in piped.err


def test_sessions_archived_by_the_app_are_read_only(mongo_user: Cli, mongo: MongoServer, valkey: ValkeyServer) -> None:
    ids = list(mongo.put_app_documents())
    before = list(mongo.sessions.find())
    for session_id in ids:
        shown = mongo_user.ok("session", "show", session_id)
        assert shown.json["agent_name"] == "BrowserUseAgent" and "kept only a part of it" in shown.err
        assert mongo_user.ok("session", "history", session_id).rows
        assert json.loads(mongo_user.ok("archive", "show", session_id, "-o", "raw").out)["sessionId"] == session_id
        for words in (
            ("session", "apply", session_id, "{}"),
            ("session", "touch", session_id),
            ("session", "end", session_id),
            ("archive", "restore", session_id),
        ):
            mongo_user(*words).error(4, "read-only", session_id)
    assert list(mongo.sessions.find()) == before and valkey.raw.keys() == []


def test_tables_are_safe_and_fit_the_terminal(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    """Hostile names are escaped, headers stay whole, and the chart uses the characters that the terminal has."""
    hostile = "\x1b[31mred\x07\u202e"
    document = json.loads(APP_SESSIONS[1].read_bytes()) | {"agent_name": hostile}
    document["page_state"]["route"] = hostile
    valkey.raw.set(f"AWI:SESSION:{document['session_id']}", json.dumps(document), px=60_000)
    assert sqlite_user.ok("archive", "sweep", "--dry-run").rows[0]["why"] == "expires"
    assert "1 session due, 1 archived" in sqlite_user.ok("archive", "sweep", "-o", "table").table()
    ended = begin(sqlite_user)
    sqlite_user.ok("session", "end", ended)
    for columns in ("80", "120", "200"):
        wide = sqlite_user.having(COLUMNS=columns)
        listing = wide.ok("archive", "list", "-o", "table").table()
        assert document["session_id"] in listing and "live" in listing
        assert max(map(len, listing.splitlines())) <= int(columns)
        assert "█" in wide.ok("archive", "stats", "-o", "table").table()
        for words in (("archive", "restore", ended), ("session", "end", document["session_id"])):
            table = wide.ok(*words, "--dry-run", "-o", "table").table()
            assert words[-1] in table and table.splitlines()[0].split()[:2] == ["SESSION", "AGENT"], "headers are whole"
    plain = sqlite_user.having(PYTHONIOENCODING="ascii").ok("archive", "stats", "-o", "table").table()
    assert "#" in plain and "█" not in plain
    process = spawn(sqlite_user, "archive", "list")
    process.expect(document["session_id"])
    process.expect(pexpect.EOF)


# -- sweep


def test_a_sweep_finishes_an_end_that_was_interrupted(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    """The session was taken away from its agent, and then the process was killed."""
    session_id = begin(sqlite_user)
    valkey.raw.hset("AWI:ENDING", session_id, valkey.raw.get(f"AWI:SESSION:{session_id}"))
    valkey.raw.delete(f"AWI:SESSION:{session_id}")
    shown = sqlite_user.ok("session", "show", session_id)
    assert shown.json["session_id"] == session_id and "is being ended" in shown.err
    due = sqlite_user.ok("archive", "sweep", "--dry-run").rows
    assert [(one["session_id"], one["why"]) for one in due] == [(session_id, "ended")]
    swept = sqlite_user.ok("archive", "sweep").json
    assert (swept["found"], swept["archived"], swept["deleted"], swept["failed"]) == (1, 1, 1, 0)
    assert valkey.raw.keys() == []
    archived = sqlite_user.ok("archive", "show", session_id).json
    assert [one["action"] for one in archived["history"]["actions"]] == ["session_start", "filter", "session_end"]


def test_sweep_watch_stops_at_a_signal(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    for before, number in enumerate((signal.SIGTERM, signal.SIGINT)):
        process = sqlite_user.start("archive", "sweep", "--watch", "--interval", "50ms", "--margin", "31m")
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert [one["found"] for one in lines] == [before, before]
        session_id = begin(sqlite_user, f"agent-{int(number)}")
        deadline = time.monotonic() + LIMIT_SECONDS
        while json.loads(process.stdout.readline())["archived"] == before:
            assert time.monotonic() < deadline
        process.send_signal(number)
        result = finish(process)
        assert (result.code, result.err) == (0, "")
        assert sqlite_user.ok("archive", "show", session_id).json["session_id"] == session_id
        assert valkey.raw.exists(f"AWI:SESSION:{session_id}")


def test_ctrl_c_ends_a_sweep_that_waits_for_the_server(user: Cli, new_valkey: Callable[..., ValkeyServer]) -> None:
    """A batch in progress is finished only if that is possible at once."""
    server = new_valkey()
    words = ("--timeout", "300", "--archive", "sqlite:///archive.db")
    words += ("archive", "sweep", "--watch", "--interval", "100ms")
    with user.having(REDIS_SOCKET=str(server.socket)).start(*words) as process:
        assert process.stdout is not None and process.stdout.readline()
        server.pause()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_SECONDS) == 130, "long before the timeout"
        assert process.stderr is not None and process.stderr.read() == b"awictl: interrupted\n"


def test_a_throttled_sweep_stops_after_the_current_batch(sqlite_user: Cli) -> None:
    ids = [begin(sqlite_user, f"agent-{number}") for number in range(10)]
    process = sqlite_user.start("archive", "sweep", "--watch", "--margin", "31m", "--rate", "1")
    deadline = time.monotonic() + LIMIT_SECONDS
    while not sqlite_user("archive", "list").out:
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGTERM)
    result = finish(process)
    assert (result.code, result.err) == (0, "") and 0 < json.loads(result.out)["archived"] < len(ids)


def test_progress_is_shown_only_on_a_terminal(sqlite_user: Cli) -> None:
    """And only if the sweep takes long."""
    for number in range(3):
        begin(sqlite_user, f"agent-{number}")
    assert sqlite_user.ok("archive", "sweep", "--margin", "31m").err == ""
    process = spawn(sqlite_user, "archive", "sweep", "--margin", "31m", "--rate", "2")
    process.expect("archiving")
    process.expect("3 sessions due, 3 archived")
    process.expect(pexpect.EOF)
    process = spawn(sqlite_user, "archive", "sweep", "--margin", "31m")
    process.expect("3 sessions due, 3 archived")
    assert "archiving" not in process.before


@pytest.mark.parametrize(
    ("words", "code", "fragment"),
    [
        (("archive", "sweep", "--margin", "soon"), 2, "not a duration"),
        (("archive", "sweep", "--margin", "0s"), 2, "greater than zero"),
        (("archive", "sweep", "--watch", "--once"), 2, "cannot be combined"),
        (("archive", "sweep", "--rate", "nan"), 2, "--rate"),
        (("archive", "sweep", "--interval", "5s"), 2, "--watch"),
        (("archive", "export", "-o", "table"), 2, "prints jsonl"),
        (("archive", "list", "--mongo", "sqlite:///x.db"), 2, "not an archive in MongoDB"),
        (("archive", "list", "--cursor", "x"), 2, "not a cursor"),
        (("archive", "list", "--since", "yesterday"), 2, "not a time"),
        (("archive", "show", "sess_missing"), 3, "sess_missing"),
        (("archive", "show", "../x"), 2, "not a session id"),
        (("archive", "restore", "sess_missing"), 3, "sess_missing"),
        (("session", "end", "sess_missing"), 3, "it is not in"),
        (("archive", "export", "sess_1", "--failed"), 2, "ids and filters cannot be combined"),
        (("archive", "list", "--archive", "http://x"), 2, "--archive: this is not an archive"),
        (("archive", "list", "--mongo", "mongodb://u:hunter2@h/db"), 2, "MONGODB_URI"),
        (("archive", "list", "--archive", "sqlite:////"), 2, "not an archive"),
        (("archive", "list", "--archive", "sqlite:///."), 4, "folder"),
        (("archive", "list", "--archive", "sqlite:///bad.db"), 6, "not a database"),
        (("archive", "list", "--mongo", "mongodb://127.0.0.1:1/db"), 5, "connection refused"),
        (("session", "end", "sess_1", "--archive", "sqlite:////dev/null/x.db"), 3, "sess_1"),
    ],
)
def test_errors_are_one_line(sqlite_user: Cli, words: tuple[str, ...], code: int, fragment: str) -> None:
    (sqlite_user.home / "bad.db").write_text("no database at all, and long enough to be seen as such")
    sqlite_user.ok("agent", "register", "somebody")  # creates the archive
    result = sqlite_user(*words)
    result.error(code, fragment)
    assert "hunter2" not in result.err and result.seconds < 20, "the driver by itself would wait 30 s"


def test_secrets_are_not_printed(awictl: Cli) -> None:
    user = awictl.having(MONGODB_URI="mongodb://root:hunter2@127.0.0.1:1/db?authSource=admin")
    shown = user.ok("config", "show", "-o", "table").text
    assert "mongodb://********@127.0.0.1:1/db" in shown and "hunter2" not in shown
    failed = user("--verbose", "archive", "list")
    assert failed.code == 5 and "hunter2" not in failed.err


def test_health_reports_the_archive(awictl: Cli, mongo_user: Cli) -> None:
    assert awictl.ok("health").json["archive"] == "disabled"
    healthy = mongo_user.ok("health").json
    assert healthy["archive"] == "connected" and healthy["archive_latency_ms"] > 0
    gone = awictl.having(MONGODB_URI="mongodb://127.0.0.1:1/db")("health")
    assert gone.code == 5 and json.loads(gone.out)["archive"] == "disconnected"
    assert "cannot reach MongoDB" in gone.err


def test_the_embedded_server_has_its_own_archive(laptop: Cli, mongo: MongoServer) -> None:
    """Whatever archive the user has configured for other servers."""
    user = laptop.having(MONGODB_URI=mongo.uri)
    demo = user.ok("demo").text
    assert "from the archive" in demo
    [ended] = user.ok("--embedded", "archive", "list").rows
    [live] = user.ok("--embedded", "session", "list").rows
    assert ended["session_id"] in demo and live["session_id"] in demo and ended["session_id"] != live["session_id"]
    assert (laptop.home / "data" / "awictl" / "embedded" / "archive.db").is_file()
    assert mongo.sessions.count_documents({}) == 0


def test_showing_a_live_session_does_not_import_the_archive_driver(mongo_user: Cli) -> None:
    session_id = begin(mongo_user)
    code = (
        "import sys; from awictl.cli.main import run; run(['session', 'show', sys.argv[1]]);"
        "sys.exit(sorted({'pymongo', 'bson', 'sqlite3'} & set(sys.modules)) or 0)"
    )
    result = mongo_user.python("-c", code, session_id)
    assert (result.code, result.err) == (0, ""), result
    any_: dict[str, Any] = result.json
    assert any_["session_id"] == session_id
