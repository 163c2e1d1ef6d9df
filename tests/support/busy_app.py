"""A process that updates one session without a pause to speak of, exactly as the app does, until the session is gone.

Run as a script: PORT SESSION_ID SEED. It writes a line when it starts, and at the end the number of its updates and the
markers (`input.marker`) of its actions as JSON. Each update is a GET, a change, and a SET of the whole document in the
app's layout, cut to the last 100 actions, without comparing. Between two updates it pauses 0 to 3 ms.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import redis

#: Maximum pause between two updates, in seconds.
PAUSE = 0.003


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def update(server: redis.Redis, session_id: str, marker: str) -> bool:
    """Update a session once. Returns whether it was there."""
    key = f"AWI:SESSION:{session_id}"
    raw = server.get(key)
    if raw is None:
        return False
    assert isinstance(raw, bytes)
    made = json.loads(raw)
    history, statistics = made["history"], made["statistics"]
    record = {
        "t": len(history["actions"]),
        "action": "list_posts",
        "input": {"marker": marker},
        "delta": {"page_state": {"pagination": {"cursor": 1}}},
        "timestamp": _now(),
        "success": True,
        "observation": "Retrieved 10 posts",
    }
    history["actions"] = [*history["actions"], record][-100:]
    history["last_action"] = record
    statistics["total_actions"] += 1
    statistics["successful_actions"] += 1
    statistics["last_activity"] = made["last_updated"] = record["timestamp"]
    server.set(key, json.dumps(made, separators=(",", ":"), ensure_ascii=False).encode(), px=1_800_000)
    diff = {"delta": record["delta"], "action": record}
    server.set(f"AWI:DIFF:{session_id}", json.dumps(diff, separators=(",", ":")).encode(), px=300_000)
    return True


@contextmanager
def busy_app(port: int, session_id: str, seed: int = 0) -> Iterator[subprocess.Popen[str]]:
    """The process on the Valkey at a port, from its first update on; killed at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(port), session_id, str(seed)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def markers_of(process: subprocess.Popen[str], seconds: float = 30) -> list[str]:
    """Wait until the process has found its session gone; return the markers of its updates."""
    out, _ = process.communicate(timeout=seconds)
    written: list[str] = json.loads(out)
    return written


def _main(port: int, session_id: str, seed: int) -> None:
    server = redis.Redis(port=port)
    chance = random.Random(seed)
    written: list[str] = []
    while update(server, session_id, f"{seed}.{len(written)}"):
        written.append(f"{seed}.{len(written)}")
        if len(written) == 1:
            print("started", flush=True)
        time.sleep(chance.uniform(0, PAUSE))
    print(json.dumps(written))


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
