"""Measure the CPU time that `archive sweep --watch` takes to keep snapshots of live sessions.

Runs the command as a process, with its defaults, on private servers: a Valkey, and a MongoDB-wire server over TCP.
First it archives all sessions; then it is measured while none of them changes, and while some are written to, as the
app does.

    uv run python benchmarks/snapshot_cost.py [--sessions 10000] [--seconds 60] [--changes 100] [--archive URL]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.mongo import MongoServer
from support.valkey import ValkeyServer
from sweep_speed import session

#: TTL of the sessions, in seconds.
TTL_SECONDS = 1800
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return the CPU time of a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(process: subprocess.Popen[bytes]) -> float:
    """Return the resident memory of a process."""
    [line] = [one for one in Path(f"/proc/{process.pid}/status").read_text().splitlines() if one.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def wait_for_snapshots(process: subprocess.Popen[bytes], count: int) -> None:
    """Read rows until this many snapshots were archived."""
    assert process.stdout is not None
    while count > 0:
        count -= json.loads(process.stdout.readline())["snapshots"]


def share(process: subprocess.Popen[bytes], seconds: float) -> float:
    """Return the share of one core that a process takes within this time."""
    before, started = cpu_seconds(process), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(process) - before) / (time.monotonic() - started)


def change(valkey: ValkeyServer, sessions: dict[str, bytes], per_second: int, seconds: float) -> None:
    """Write to random sessions: the same document with another timestamp, and a new TTL."""
    ids = list(sessions)
    started = time.monotonic()
    for second in range(round(seconds)):
        for session_id in random.sample(ids, per_second):
            raw = sessions[session_id].replace(b'"tag-', b'"tag%d' % (second % 10), 1)
            valkey.raw.set(f"AWI:SESSION:{session_id}", raw, ex=TTL_SECONDS)
        time.sleep(max(0.0, started + second + 1 - time.monotonic()))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--changes", type=int, default=100, help="sessions that are written to per second")
    parser.add_argument("--archive", help="URL of another archive than a private MongoDB-wire server")
    options = parser.parse_args()
    random.seed(1)
    sessions = dict(session(number, random.randint(5, 100)) for number in range(options.sessions))
    size = sum(map(len, sessions.values())) / len(sessions)
    print(f"{len(sessions):,} sessions of {size:,.0f} bytes on average")
    mongo = MongoServer().start()
    with ValkeyServer() as valkey:
        with valkey.raw.pipeline() as pipe:
            for session_id, raw in sessions.items():
                pipe.set(f"AWI:SESSION:{session_id}", raw, ex=TTL_SECONDS)
            pipe.execute()
        url = options.archive or mongo.uri
        command = ["archive", "sweep", "--watch", "--redis", f"unix://{valkey.socket}", "--archive", url]
        process = subprocess.Popen([sys.executable, "-m", "awictl", *command], stdout=subprocess.PIPE)
        try:
            wait_for_snapshots(process, len(sessions))
            print(f"all archived, after {cpu_seconds(process):.1f} s of CPU time")
            print(f"unchanged:             {share(process, options.seconds):.1%} of one core")
            before, started = cpu_seconds(process), time.monotonic()
            change(valkey, sessions, options.changes, options.seconds)
            used = (cpu_seconds(process) - before) / (time.monotonic() - started)
            print(f"{options.changes:,} changes per second: {used:.1%} of one core")
            print(f"memory: {memory_mb(process):.0f} MB")
        finally:
            process.kill()
            process.communicate()
            mongo.stop()


if __name__ == "__main__":
    main()
