"""`awictl migrate` as an operator runs it."""

from __future__ import annotations

from support.archives import session
from support.cli import Cli, unchanged
from support.documents import AGENT_ID, compact, put, session_key
from support.mongo import MongoServer
from support.terminal import CTRL_C, on_terminal
from support.valkey import ValkeyServer

from awictl.document.byte_layout import encode


def put_some(valkey: ValkeyServer, count: int) -> dict[str, bytes]:
    """Sessions in both layouts."""
    raws = {f"sess_{number:04}": session(number % 5 + 1, f"sess_{number:04}") for number in range(count)}
    found = {name: (encode if name[-1] in "02468" else compact)(document) for name, document in raws.items()}
    with valkey.raw.pipeline() as pipe:
        for name, raw in found.items():
            pipe.set(session_key(name), raw, px=900_000)
        pipe.execute()
    return found


def in_redis(valkey: ValkeyServer) -> dict[str, bytes]:
    names = list(valkey.raw.scan_iter("AWI:SESSION:*"))
    return {name.decode().removeprefix("AWI:SESSION:"): valkey.raw.get(name) for name in names}


def in_mongo(mongo: MongoServer) -> int:
    return mongo.raw["awi_live_sessions"].count_documents({})


def test_there_and_back(mongo_user: Cli, valkey: ValkeyServer, mongo: MongoServer) -> None:
    before = put_some(valkey, 7)
    with unchanged(valkey):
        dry = mongo_user.ok("migrate", "--to", "mongo", "--dry-run")
    assert dry.json | {"seconds": 0} == {
        "to": "mongo", "found": 7, "moved": 7, "replaced": 0, "ended": 0, "gone": 0, "from_app": 0, "skipped": 0,
        "conflicts": 0, "failed": 0, "dry_run": True, "seconds": 0,
    }  # fmt: skip
    assert dry.err == "dry run: nothing was written\n" and in_mongo(mongo) == 0

    there = mongo_user.ok("migrate", "--to", "mongo", "--yes")
    assert there.json["moved"] == 7 and there.json["dry_run"] is False
    assert there.err == f"to use {mongo.uri} from now on, set AWI_USE_REDIS=false\n"
    assert in_redis(valkey) == {} and in_mongo(mongo) == 7
    on_mongo = mongo_user.having(AWI_USE_REDIS="false")
    assert on_mongo.ok("session", "show", "-o", "raw", "sess_0003").out == before["sess_0003"]
    mongo_user.ok("session", "create", "--agent", "agent-1")

    back = on_mongo.ok("migrate", "--to", "redis", "-y", "-o", "json")
    assert (back.json["found"], back.json["moved"], back.json["sessions"]) == (7, 7, [])
    after = in_redis(valkey)
    assert len(after) == 8 and before.items() <= after.items() and in_mongo(mongo) == 0
    ttls = [valkey.raw.pttl(session_key(name)) for name in before]
    assert all(0 < ttl <= 900_000 for ttl in ttls)


def test_a_newer_session_and_a_damaged_one_are_left(mongo_user: Cli, valkey: ValkeyServer, mongo: MongoServer) -> None:
    for name in ("sess_fine", "sess_newer"):
        put(valkey, encode(session(3, name)), name)
    mongo_user.ok("migrate", "--to", "mongo", "--yes")
    mongo_user.having(AWI_USE_REDIS="false").ok("session", "apply", "sess_newer", "{}")
    for name in ("sess_fine", "sess_newer"):  # as a writer that did not notice
        put(valkey, encode(session(3, name)), name)
    put(valkey, b"{", "sess_damaged")
    left = in_redis(valkey)

    done = mongo_user("migrate", "--to", "mongo", "--yes", "-o", "jsonl")
    assert done.code == 4
    *rows, summary = done.rows
    assert [(row["session_id"], row["outcome"]) for row in rows] == [
        ("sess_damaged", "failed"),
        ("sess_newer", "conflict"),
    ]
    assert rows[1]["reason"].startswith("a newer version is in mongodb://") and rows[1]["agent_id"] == AGENT_ID
    assert (summary["moved"], summary["conflicts"], summary["failed"]) == (1, 1, 1)
    first, second, _ = done.err.splitlines()
    assert first == f"awictl: {rows[1]['reason']}" and second == f"awictl: {rows[0]['reason']}"
    assert in_redis(valkey) == {name: raw for name, raw in left.items() if name != "sess_fine"}
    # as a table: what was not simply moved, and the counts
    shown = mongo_user.on_screen("migrate", "--to", "mongo", "--yes", columns=80)
    assert shown.code == 4 and "sess_newer" in shown.text and "2 sessions found, 0 moved to mongo" in shown.text
    assert all(len(line) <= 80 for line in shown.text.splitlines() if not line.startswith(("awictl", "also")))


def test_it_asks(mongo_user: Cli, valkey: ValkeyServer, mongo: MongoServer) -> None:
    put_some(valkey, 2)
    with unchanged(valkey):
        mongo_user("migrate", "--to", "mongo").error(4, "Move all live sessions from redis://", "pass --yes")
    with on_terminal(mongo_user, "migrate", "--to", "mongo") as terminal:
        terminal.until(lambda text: f"to {mongo.uri}? [y/N]" in text.replace("\n", ""))
        terminal.press("y", "\r")
        terminal.until("2 sessions found, 2 moved to mongo")
        assert terminal.end() == 0
    with on_terminal(mongo_user, "migrate", "--to", "redis") as terminal:
        terminal.until("[y/N]")
        terminal.press("n", "\r")
        assert terminal.end() == 1
    assert in_mongo(mongo) == 2


def test_what_it_refuses(mongo_user: Cli, awictl: Cli, valkey: ValkeyServer, mongo: MongoServer) -> None:
    put_some(valkey, 2)
    with unchanged(valkey):
        mongo_user.having(AWI_READ_ONLY="1")("migrate", "--to", "mongo", "--yes").error(4, "read-only")
        assert mongo_user.having(AWI_READ_ONLY="1").ok("migrate", "--to", "mongo", "--dry-run").json["moved"] == 2
        awictl("migrate", "--to", "mongo", "--yes").error(2, "no MongoDB to move", "MONGODB_URI")
        assert awictl("migrate", "--yes").code == awictl("migrate", "--to", "sqlite", "--yes").code == 2
        away = mongo_user.having(MONGODB_URI="mongodb://127.0.0.1:1/awi")(
            *("migrate", "--to", "mongo", "--yes", "--timeout", "0.3")
        )
        assert away.code == 5 and "127.0.0.1:1" in away.err and away.json["moved"] == 0
    assert in_mongo(mongo) == 0


def test_ctrl_c_keeps_what_was_moved(mongo_user: Cli, valkey: ValkeyServer, mongo: MongoServer) -> None:
    put_some(valkey, 50)
    with on_terminal(mongo_user, "migrate", "--to", "mongo", "--yes", "--rate", "5") as terminal:
        terminal.until("migrating", lambda _: len(in_redis(valkey)) < 50)  # the progress bar
        terminal.press(CTRL_C)
        terminal.until("interrupted")
        assert terminal.end() == 130
    assert "moved; repeat it to move the others" in terminal.text and "sessions found" in terminal.text
    left = len(in_redis(valkey))
    assert 0 < left < 50 and in_mongo(mongo) >= 50 - left
    assert mongo_user.ok("migrate", "--to", "mongo", "--yes").json["moved"] == left
    assert in_mongo(mongo) == 50 and in_redis(valkey) == {}


def test_no_progress_without_a_terminal(mongo_user: Cli, valkey: ValkeyServer) -> None:
    put_some(valkey, 20)
    done = mongo_user("migrate", "--to", "mongo", "--yes", "--rate", "40", "-q")
    assert done.code == 0 and done.err == "" and done.json["moved"] == 20
    assert done.json["seconds"] >= 0.25  # paced
