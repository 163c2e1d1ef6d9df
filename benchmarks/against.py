"""Compares this checkout with another one, in alternating pairs in one run: the HTTP server, updates, and listings.

    git worktree add ../before COMMIT && (cd ../before && uv sync --compile-bytecode --all-extras)
    uv run python benchmarks/against.py ../before [--rounds 15] [--sessions 0]

Starts a private Valkey, and the server of each checkout with its own interpreter. `GET` and `POST …/state` are
requested by turns over 32 connections, in slices of two thirds of a second; the processor time is that of the
server's process. The library's updates are those of 64 tasks, each on a session of its own, in a process per slice.
With `--sessions`, `session list -o jsonl` and `-o ids` are run on as many sessions, and their processor time is
compared. Prints the median of the ratios of all rounds, the lowest and the highest, and the ratio of the best values.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import load
from list_speed import fill
from support.valkey import ValkeyServer, free_port

HERE = Path(__file__).resolve().parents[1]
STATE = "/api/agent/session/state"
CONNECTIONS = 32
SLICE_SECONDS = 0.66
TASKS = 64
#: Updates of each task in one process, after one that is not measured.
UPDATES = 60

#: Creates an agent per connection, each with a session of ten actions, and prints their API keys.
PREPARE = f"""
import asyncio
from awictl import Settings, StateManager
from awictl.agents.api_keys import Permission

async def main():
    async with StateManager.open(Settings.load()) as manager:
        for number in range({CONNECTIONS}):
            agent = await manager.agents.register(f"benchmark-{{number}}", permissions=tuple(Permission))
            visit = await manager.agent_sessions.get_or_create(agent.key.agent_id, "benchmark")
            for cursor in range(10):
                delta = {{"page_state": {{"pagination": {{"cursor": cursor}}}}}}
                await manager.apply(visit.session_id, delta, {{"action": "next_page", "input": {{"page": cursor}}}})
            print(agent.secret)

asyncio.run(main())
"""

#: Prints the updates per second of TASKS tasks, and the processor time of each in microseconds.
UPDATE = f"""
import asyncio, time
from awictl import Settings, StateManager

async def task(manager, session_id, count):
    for cursor in range(count):
        delta = {{"page_state": {{"pagination": {{"cursor": cursor}}}}}}
        await manager.apply(session_id, delta, {{"action": "next_page"}})

async def main():
    async with StateManager.open(Settings.load()) as manager:
        ids = [(await manager.initialize_session(f"agent-{{n}}", "benchmark"))["session_id"] for n in range({TASKS})]
        await asyncio.gather(*(task(manager, one, 1) for one in ids))
        started, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(task(manager, one, {UPDATES}) for one in ids))
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        print({TASKS * UPDATES} / seconds, cpu / {TASKS * UPDATES} * 1e6)

asyncio.run(main())
"""


class Checkout:
    """A checkout with its virtual environment."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.environment |= environment

    def start(self, *words: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start its interpreter."""
        command = [str(self.folder / ".venv/bin/python"), *words]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=stdout)

    def output(self, *words: str) -> list[str]:
        """The words that its interpreter prints."""
        process = self.start(*words)
        found = process.communicate()[0].decode().split()
        assert process.returncode == 0, words
        return found

    def cpu(self, *words: str) -> float:
        """The processor time of a command in seconds."""
        process = self.start("-m", "awictl", *words)
        assert process.stdout is not None
        while process.stdout.read1(1 << 20):
            pass
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        assert status == 0, words
        return usage.ru_utime + usage.ru_stime

    @contextmanager
    def serving(self) -> Iterator[tuple[int, int]]:
        """Run `awictl serve`. Yields its port and process id."""
        port = free_port()
        options = ["--port", str(port), "--rate-limit", "0", "-q"]
        process = self.start("-m", "awictl", "serve", *options, stdout=subprocess.DEVNULL)
        try:
            load.wait_for(port)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait()


def show(what: str, values: Sequence[tuple[float, float]], unit: str, *, best: Callable[..., float] = min) -> None:
    """Print a line. `values`: those of the other checkout and of this one.

    `best`: which of the values are least disturbed by other load on the machine; their ratio is printed, too.
    """
    ratios = [after / before for before, after in values]
    before, after = (statistics.median(one) for one in zip(*values, strict=True))
    best_before, best_after = (best(one) for one in zip(*values, strict=True))
    median = f"{statistics.median(ratios):5.2f} × ({min(ratios):.2f} to {max(ratios):.2f})"
    print(f"{what:28}{before:9,.0f} → {after:9,.0f} {unit:11} {median}; of the best {best_after / best_before:.2f} ×")


async def http(checkouts: Sequence[Checkout], secrets: Sequence[str], rounds: int) -> None:
    """Compare the servers."""
    with ExitStack() as stack:
        servers = [stack.enter_context(one.serving()) for one in checkouts]
        clients = [await load.connected(port, CONNECTIONS) for port, _ in servers]
        body = b'{"delta":{"page_state":{"pagination":{"cursor":1}}},"action":"next_page"}'
        for method, content in (("GET", b""), ("POST", body)):
            found: list[list[load.Slice]] = []
            for number in range(rounds + 1):
                pair = []
                for index in (0, 1) if number % 2 else (1, 0):
                    requests = [load.request(method, STATE, content, f"X-Agent-API-Key: {one}") for one in secrets]
                    pair.append(
                        (index, await load.loaded_with(clients[index], requests, [servers[index][1]], SLICE_SECONDS))
                    )
                if number:  # the first round warms up
                    found.append([one for _, one in sorted(pair)])
            speeds = [(before.speed, after.speed) for before, after in found]
            costs = [(before.cost, after.cost) for before, after in found]
            show(f"{method} …/state", speeds, "requests/s", best=max)
            show(f"{method} …/state, CPU", costs, "us/request")


def updates(checkouts: Sequence[Checkout], rounds: int) -> None:
    """Compare the library's updates."""
    found = []
    for number in range(rounds):
        pair: dict[int, list[float]] = {}
        for index in (0, 1) if number % 2 else (1, 0):
            pair[index] = [float(one) for one in checkouts[index].output("-c", UPDATE)]
        found.append((pair[0], pair[1]))
    speeds = [(before[0], after[0]) for before, after in found]
    costs = [(before[1], after[1]) for before, after in found]
    show(f"updates, {TASKS} tasks", speeds, "updates/s", best=max)
    show(f"updates, {TASKS} tasks, CPU", costs, "us/update")


def listings(checkouts: Sequence[Checkout], rounds: int) -> None:
    """Compare the processor time of listings."""
    for kind in ("jsonl", "ids"):
        found = []
        for number in range(rounds):
            pair = {
                index: checkouts[index].cpu("session", "list", "-o", kind) for index in ((0, 1), (1, 0))[number % 2]
            }
            found.append((pair[0] * 1e3, pair[1] * 1e3))
        show(f"session list -o {kind}, CPU", found, "ms")


def main() -> None:
    """Start a private Valkey, and measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("before", type=Path, help="folder of the other checkout")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sessions", type=int, default=0, help="number of sessions to list; 0: measure no listing")
    parser.add_argument("--only", choices=["http", "updates", "listings"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ValkeyServer() as valkey:
        environment = {"REDIS_SOCKET": str(valkey.socket), "AWI_ARCHIVE_URL": f"sqlite:///{folder}/archive.db"}
        checkouts = [Checkout(one, environment) for one in (options.before.resolve(), HERE)]
        if options.only in (None, "http"):
            uvloop.run(http(checkouts, checkouts[0].output("-c", PREPARE), options.rounds))
        if options.only in (None, "updates"):
            updates(checkouts, options.rounds)
        if options.sessions:
            fill(valkey, options.sessions)
            listings(checkouts, max(3, options.rounds // 3))


if __name__ == "__main__":
    main()
