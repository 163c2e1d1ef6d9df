"""`awictl bench latency` on real servers: what it prints, what it writes, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from support.cli import LIMIT_SECONDS, Cli, unchanged
from support.documents import compact, document, put
from support.mongo import MongoServer
from support.valkey import ValkeyServer
from support.waiting import suspend

OPERATIONS = ["get_state", "update_state", "history_page", "cached_list"]
WORDS = ("bench", "latency", "--seconds")


@contextmanager
def measuring(user: Cli, valkey: ValkeyServer, mongo: MongoServer | None = None) -> Iterator[int]:
    """A long run, once it measures; yields its process id. It must have ended in the end."""
    with user.start(*WORDS, "60") as process:
        try:
            deadline = time.monotonic() + LIMIT_SECONDS
            # the first update is part of the measurement
            while not valkey.raw.keys("AWI:DIFF:*") or (mongo and not mongo.raw["awi_bench_strings"].find_one()):
                assert process.poll() is None and time.monotonic() < deadline, process.poll()
                time.sleep(0.02)
            yield process.pid
            process.communicate(timeout=LIMIT_SECONDS)
        finally:
            process.kill()


def test_both_servers_are_measured_and_nothing_is_left(
    mongo_user: Cli, valkey: ValkeyServer, mongo: MongoServer
) -> None:
    put(valkey, compact(document([3])))
    with unchanged(valkey):
        done = mongo_user.ok(*WORDS, "0.2", "--clients", "2")
    assert f"writes sessions of its own (sess_bench_*) to redis://127.0.0.1:{valkey.port}/0 and {mongo.uri}" in done.err
    assert mongo.raw.list_collection_names() == []
    row = done.json
    assert (row["seconds"], row["clients"], row["actions"]) == (0.2, 2, 20) and row["document_bytes"] > 10_000
    assert {name: one["address"] for name, one in row["servers"].items()} == {
        "redis": f"redis://127.0.0.1:{valkey.port}/0",
        "mongodb": mongo.uri,
    }
    assert [one["operation"] for one in row["operations"]] == OPERATIONS
    assert [one["claimed_ratio"] for one in row["operations"]] == [10, None, None, None]
    for one in row["operations"]:
        for server in ("redis", "mongodb"):
            assert one[server]["requests"] >= 2
            assert 0 < one[server]["p50_ms"] <= one[server]["p90_ms"] <= one[server]["p99_ms"]
        for name in ("p50", "p90", "p99"):
            assert one["ratio"][name] == pytest.approx(one["mongodb"][f"{name}_ms"] / one["redis"][f"{name}_ms"], 1e-3)


def test_a_terminal_shows_the_ratios_beside_the_claim(mongo_user: Cli) -> None:
    shown = mongo_user.on_screen(*WORDS, "0.1").text
    assert "get state     Redis" in shown and "CLAIMED" in shown and "10.0 ×" in shown
    assert sum("ratio" in line for line in shown.splitlines()) == len(OPERATIONS)
    assert max(map(len, [line for line in shown.splitlines() if "×" in line or " ms" in line])) <= 80


def test_one_server_is_measured_if_the_other_is_not_configured(awictl: Cli, valkey: ValkeyServer) -> None:
    with unchanged(valkey):
        done = awictl.ok(*WORDS, "0.1")
    assert "MongoDB is not measured: set MONGODB_URI, or give --mongo URL" in done.err
    assert done.json["servers"]["mongodb"] is None
    assert all(one["redis"] and one["mongodb"] is one["ratio"] is None for one in done.json["operations"])


def test_one_server_is_measured_if_the_other_does_not_respond(mongo_user: Cli, mongo: MongoServer) -> None:
    done = mongo_user.having(REDIS_PORT="1")(*WORDS, "0.1")
    assert done.code == 5 and "Redis is not measured: it does not respond" in done.err
    assert "cannot reach Redis at redis://127.0.0.1:1/0" in done.err
    assert all(one["mongodb"] and one["redis"] is None for one in done.json["operations"])
    assert mongo.raw.list_collection_names() == []


def test_nothing_is_measured_without_a_server(user: Cli) -> None:
    user.having(REDIS_PORT="1")(*WORDS, "0.1").error(5, "cannot reach Redis at redis://localhost:1/0")
    user.having(AWI_USE_REDIS="off")(*WORDS, "0.1").error(4, "neither Redis nor MongoDB is configured")


def test_a_read_only_profile_refuses(mongo_user: Cli, valkey: ValkeyServer, mongo: MongoServer) -> None:
    with unchanged(valkey):
        mongo_user.having(AWI_READ_ONLY="1")(*WORDS, "0.1").error(4, "the settings are read-only")
    assert mongo.raw.list_collection_names() == []


def test_ctrl_c_deletes_everything(awictl: Cli, valkey: ValkeyServer) -> None:
    with measuring(awictl, valkey) as pid:
        os.kill(pid, signal.SIGINT)
    assert valkey.raw.keys("*") == []


def test_the_next_run_deletes_what_a_killed_one_has_left(
    mongo_user: Cli, valkey: ValkeyServer, mongo: MongoServer
) -> None:
    with measuring(mongo_user, valkey, mongo) as pid:
        suspend(pid)
        while len(valkey.raw.keys("*")) != 6 or mongo.raw["awi_bench_sessions"].count_documents({}) != 2:
            os.kill(pid, signal.SIGCONT)  # it was replacing a session that has become long
            time.sleep(0.02)
            suspend(pid)
        os.kill(pid, signal.SIGKILL)
    left = {key.decode() for key in valkey.raw.keys("*")}
    assert len(left) == 6, "two sessions, their agents, a diff, the cached results"
    assert all(0 < valkey.raw.pttl(key) <= 300_000 for key in left)
    mine = put(valkey, compact(document([3])), "sess_bench_mine")
    assert "deleted" not in mongo_user.ok(*WORDS, "0.1").err, "they may be those of a run that goes on"
    for key in left:
        valkey.raw.pexpire(key, 200_000)
    soon = datetime.now(UTC) + timedelta(seconds=200)
    assert mongo.raw["awi_bench_sessions"].update_many({}, {"$set": {"expires_at": soon}}).modified_count == 2
    assert "deleted 4 sessions of an earlier run that was interrupted" in mongo_user.ok(*WORDS, "0.1").err
    assert valkey.raw.keys("*") == [f"AWI:SESSION:{mine}".encode()]
    assert mongo.raw.list_collection_names() == []
