"""Measure `session verify --all`: sessions per second, elapsed and of CPU time of this process, and its memory.

The sessions went through the real code: each has 20 actions with deltas, inputs and observations. They are live,
without a copy, with a copy, or with one of an earlier version, or they are only archived. The servers are private: a
Valkey, and a MongoDB-wire server over TCP.

    uv run python benchmarks/verify_speed.py [--sessions 5000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.archive.snapshot import Snapshot
from awictl.document.byte_layout import encode
from awictl.document.schema import new_document
from awictl.document.splice import base_from_string
from awictl.document.timestamps import timestamp
from awictl.document.update import Update, apply_update

ACTIONS = 20


class Cost(NamedTuple):
    """What a run took, in seconds, and how much the largest size of the process grew, in MB."""

    elapsed: float
    cpu: float
    megabytes: float


def session(number: int, actions: int = ACTIONS) -> tuple[str, bytes]:
    """Return the id and the stored bytes of a session."""
    session_id = f"sess_{number:032x}"
    now = datetime(2026, 11, 23, 7, tzinfo=UTC)
    raw = encode(new_document(session_id, f"{number:024x}", f"Agent {number}", "/api/agent/posts", timestamp(now)))
    for t in range(1, actions):
        items = [{"id": f"{t}-{item}", "title": f"Post {item} about tag-{number % 17}"} for item in range(t % 5)]
        update = Update(
            delta={"page_state": {"pagination": {"cursor": t}, "filters": {"tag": t % 3}, "visible_items": items}},
            action="list_posts",
            input={"page": t, "tag": f"tag-{number % 17}"},
            success=t % 9 != 0,
            observation=f"Retrieved 10 posts (page {t})",
            op_id=f"op_{number}_{t}",
        )
        change = apply_update(base_from_string(raw), update, timestamp(now + timedelta(seconds=t))).splice
        raw = change.head + raw[change.keep_from : change.keep_to] + change.tail
    return session_id, raw


async def archive(settings: Settings, sessions: dict[str, bytes]) -> None:
    """Archive the sessions."""
    async with StateManager.open(settings) as manager:
        snapshots = [Snapshot.parse(session_id, raw) for session_id, raw in sessions.items()]
        for start in range(0, len(snapshots), 100):
            assert not any((await manager.required_archive().save(snapshots[start : start + 100])).values())


async def verified(settings: Settings, count: int) -> Cost:
    """Verify all sessions."""
    async with StateManager.open(settings) as manager:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        elapsed, cpu = time.perf_counter(), time.process_time()
        found = [one.is_sound async for batch in manager.verifier.verify_all() for one in batch]
        cost = time.perf_counter() - elapsed, time.process_time() - cpu
        assert len(found) == count and all(found)
        return Cost(*cost, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    sessions = dict(session(number) for number in range(options.sessions))
    size = sum(map(len, sessions.values())) / len(sessions)
    print(f"{len(sessions):,} sessions of {ACTIONS} actions, {size:,.0f} bytes on average")

    def show(name: str, settings: Settings) -> None:
        costs = [asyncio.run(verified(settings, len(sessions))) for _ in range(options.rounds)]
        elapsed, cpu, _ = (statistics.median(column) for column in zip(*costs, strict=True))
        grown = sum(one.megabytes for one in costs)
        rates = f"{len(sessions) / elapsed:6,.0f} per second, {len(sessions) / cpu:6,.0f} per second of CPU time"
        print(f"{name:32} {rates}; memory grew by {grown:.1f} MB")

    mongo = MongoServer().start()
    try:
        with ValkeyServer() as valkey:
            with valkey.raw.pipeline() as pipe:
                for session_id, raw in sessions.items():
                    pipe.set(f"AWI:SESSION:{session_id}", raw, px=3_600_000)
                pipe.execute()
            show("live", valkey.settings())
            settings = valkey.settings(mongodb_uri=mongo.uri)
            asyncio.run(archive(settings, dict(session(number, ACTIONS // 2) for number in range(len(sessions)))))
            show("live, with an earlier copy", settings)
            asyncio.run(archive(settings, sessions))
            show("live, with a copy in MongoDB", settings)
            valkey.raw.flushall()
            show("only in MongoDB", settings)
    finally:
        mongo.stop()


if __name__ == "__main__":
    main()
