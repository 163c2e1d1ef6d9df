"""Compare `archive sweep` with a bare pymongo `bulk_write` of the same documents, in one run.

The bare write inserts or upserts documents that were built before, with the same write concern. The sweep has to scan
for the sessions among all keys, read them, build the documents, write them, read them back and compare. The servers
are private: a Valkey, and a MongoDB-wire server over TCP. Also prints the CPU time of this process and of the
MongoDB-wire server, which depends less on what else the machine does.

    uv run python benchmarks/sweep_speed.py [--sessions 2000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from pymongo import AsyncMongoClient, InsertOne, ReplaceOne, WriteConcern

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.mongo import DATABASE, MongoServer
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.archive.merged_trajectory import MergedTrajectory
from awictl.archive.mongo.documents import document_of
from awictl.archive.snapshot import Snapshot
from awictl.document.byte_layout import encode
from awictl.document.schema import new_document
from awictl.document.timestamps import timestamp

MARGIN_MS = 3_600_000
TICKS = os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """What a run took, in seconds."""

    elapsed: float
    #: CPU time of this process, and of the MongoDB-wire server.
    client: float
    server: float


class Meter:
    """Measures a block."""

    def __init__(self, mongo: MongoServer) -> None:
        self._mongo = mongo
        self._before = Cost(0.0, 0.0, 0.0)

    def start(self) -> None:
        self._before = self._now()

    def stop(self) -> Cost:
        return Cost(*(after - before for after, before in zip(self._now(), self._before, strict=True)))

    def _now(self) -> Cost:
        fields = Path(f"/proc/{self._mongo.pid}/stat").read_text().rpartition(")")[2].split()
        return Cost(time.perf_counter(), time.process_time(), (int(fields[11]) + int(fields[12])) / TICKS)


def session(number: int, actions: int) -> tuple[str, bytes]:
    """Return the id and the stored bytes of a session with `actions` actions, each with an observation and a delta."""
    session_id = f"sess_{number:032x}"
    document = new_document(session_id, f"{number:024x}", f"Agent {number}", "/api/agent/posts", timestamp())
    for t in range(1, actions):
        document["history"]["actions"].append(
            {
                "t": t,
                "action": "list_posts",
                "input": {"page": t, "tag": f"tag-{number % 17}"},
                "delta": {"page_state": {"pagination": {"cursor": t}}},
                "timestamp": timestamp(),
                "success": t % 9 != 0,
                "observation": f"Retrieved 10 posts (page {t})",
                "op_id": f"op_{random.getrandbits(128):032x}",
            }
        )
    document["history"]["last_action"] = document["history"]["actions"][-1]
    document["statistics"]["total_actions"] = actions - 1
    return session_id, encode(document)


async def swept(valkey: ValkeyServer, mongo: MongoServer, sessions: dict[str, bytes]) -> Cost:
    """Sweep all sessions."""
    meter = Meter(mongo)
    async with StateManager.open(valkey.settings(mongodb_uri=mongo.uri)) as manager:
        await manager.required_archive().save([])  # creates the indexes, which the bare write has, too
        sweeper = manager.sweeper(MARGIN_MS)
        meter.start()
        result = await sweeper.sweep(await sweeper.candidates())
        cost = meter.stop()
    assert (result.archived, result.failed) == (len(sessions), {}), result
    return cost


async def bare(mongo: MongoServer, sessions: dict[str, bytes], *, upserts: bool) -> Cost:
    """Write the same documents with one bulk_write."""
    meter = Meter(mongo)
    now = datetime.now(UTC)
    expires_at = now + timedelta(minutes=1)
    snapshots = [Snapshot.parse(session_id, raw, expires_at) for session_id, raw in sessions.items()]
    documents = [document_of(one, MergedTrajectory(counts=one.action_counts), now)[0] for one in snapshots]
    async with AsyncMongoClient(mongo.uri) as client:
        collection = client[DATABASE].get_collection("awi_sessions", write_concern=WriteConcern("majority", j=True))
        writes = [ReplaceOne({"_id": one["_id"]}, one, upsert=True) if upserts else InsertOne(one) for one in documents]
        meter.start()
        await collection.bulk_write(writes, ordered=False)
        return meter.stop()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    random.seed(1)
    sessions = dict(session(number, random.randint(5, 100)) for number in range(options.sessions))
    size = sum(map(len, sessions.values())) / len(sessions)
    print(f"{len(sessions):,} sessions of {size:,.0f} bytes on average, and as many other keys")

    costs: dict[str, list[Cost]] = {"sweep": [], "inserts": [], "upserts": []}
    mongo = MongoServer().start()
    try:
        with ValkeyServer() as valkey:
            with valkey.raw.pipeline() as pipe:
                for number, (session_id, raw) in enumerate(sessions.items()):
                    pipe.set(f"AWI:SESSION:{session_id}", raw, px=MARGIN_MS // 2).set(f"OTHER:{number}", "x")
                pipe.execute()
            for _ in range(options.rounds):
                for name, run in (
                    ("inserts", lambda: bare(mongo, sessions, upserts=False)),
                    ("sweep", lambda: swept(valkey, mongo, sessions)),
                    ("upserts", lambda: bare(mongo, sessions, upserts=True)),
                ):
                    mongo.archived.delete_many({})
                    asyncio.run(create_indexes(valkey, mongo))
                    costs[name].append(asyncio.run(run()))
    finally:
        mongo.stop()
    for name, found in costs.items():
        elapsed, client, server = (statistics.median(column) for column in zip(*found, strict=True))
        print(
            f"{name:8} {len(sessions) / elapsed:8,.0f} documents per second; "
            f"CPU time: client {client:.2f} s, server {server:.2f} s"
        )
    for name in ("inserts", "upserts"):
        ratios = [its.elapsed / mine.elapsed for mine, its in zip(costs["sweep"], costs[name], strict=True)]
        print(f"sweep / bare {name}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


async def create_indexes(valkey: ValkeyServer, mongo: MongoServer) -> None:
    """Create the collection and its indexes."""
    async with StateManager.open(valkey.settings(mongodb_uri=mongo.uri)) as manager:
        await manager.required_archive().save([])


if __name__ == "__main__":
    main()
