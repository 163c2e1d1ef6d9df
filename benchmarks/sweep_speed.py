"""Compare `archive sweep` with a bare pymongo `bulk_write` of the same documents, in one run.

The bare write inserts or upserts documents that were built before, with the same write concern. The sweep has to scan
for the sessions among all keys, read them, build the documents, write them, read them back and compare. The servers
are private: a Valkey, and a MongoDB-wire server over TCP.

    uv run python benchmarks/sweep_speed.py [--sessions 2000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pymongo import AsyncMongoClient, InsertOne, ReplaceOne, WriteConcern

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.mongo import DATABASE, MongoServer
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.archive.merging import MergedTrajectory
from awictl.archive.mongo.documents import document_of
from awictl.archive.snapshot import Snapshot
from awictl.document.byte_layout import encode
from awictl.document.schema import new_document
from awictl.document.timestamps import timestamp

MARGIN_MS = 3_600_000


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


async def swept(valkey: ValkeyServer, mongo: MongoServer, sessions: dict[str, bytes]) -> float:
    """Sweep all sessions. Returns the duration in seconds."""
    async with StateManager.open(valkey.settings(mongodb_uri=mongo.uri)) as manager:
        await manager.required_archive().save([])  # creates the indexes, which the bare write has, too
        sweeper = manager.sweeper(MARGIN_MS)
        started = time.perf_counter()
        result = await sweeper.sweep(await sweeper.candidates())
        seconds = time.perf_counter() - started
    assert (result.archived, result.failed) == (len(sessions), {}), result
    return seconds


async def bare(mongo: MongoServer, sessions: dict[str, bytes], *, upserts: bool) -> float:
    """Write the same documents with one bulk_write. Returns the duration in seconds."""
    now = datetime.now(UTC)
    expires_at = now + timedelta(minutes=1)
    snapshots = [Snapshot.parse(session_id, raw, expires_at) for session_id, raw in sessions.items()]
    documents = [document_of(one, MergedTrajectory(counts=one.action_counts), now)[0] for one in snapshots]
    async with AsyncMongoClient(mongo.uri) as client:
        collection = client[DATABASE].get_collection("awi_sessions", write_concern=WriteConcern("majority", j=True))
        writes = [ReplaceOne({"_id": one["_id"]}, one, upsert=True) if upserts else InsertOne(one) for one in documents]
        started = time.perf_counter()
        await collection.bulk_write(writes, ordered=False)
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    random.seed(1)
    sessions = dict(session(number, random.randint(5, 100)) for number in range(options.sessions))
    size = sum(map(len, sessions.values())) / len(sessions)
    print(f"{len(sessions):,} sessions of {size:,.0f} bytes on average, and as many other keys")

    rates: dict[str, list[float]] = {"sweep": [], "inserts": [], "upserts": []}
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
                    rates[name].append(len(sessions) / asyncio.run(run()))
    finally:
        mongo.stop()
    for name, found in rates.items():
        print(f"{name:8} {statistics.median(found):8,.0f} documents per second")
    for name in ("inserts", "upserts"):
        ratios = [mine / its for mine, its in zip(rates["sweep"], rates[name], strict=True)]
        print(f"sweep / bare {name}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


async def create_indexes(valkey: ValkeyServer, mongo: MongoServer) -> None:
    """Create the collection and its indexes."""
    async with StateManager.open(valkey.settings(mongodb_uri=mongo.uri)) as manager:
        await manager.required_archive().save([])


if __name__ == "__main__":
    main()
