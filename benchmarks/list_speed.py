"""Time to list sessions as a table, and 200,000 of them compared with `redis-cli --scan`; the effect of a paced scan.

First, lists of 20,000 sessions as tables on a terminal of 80 columns, each compared with the same as JSON lines in a
pipe: `session list`, `keys list`, and `archive list --all` on an SQLite archive.

Then runs whole processes in turn on a private server over TCP, with 300,000 keys: `redis-cli --scan --pattern
'AWI:SESSION:*'`, `session list -o ids`, and `session list -o jsonl` (with TTL, agent and number of actions). Then
another client sends a GET about every millisecond, alone and during a paced scan; prints its p99 latency for both.
redis-cli is in Debian's redis-tools; this project does not install it.

    uv run python benchmarks/list_speed.py [--sessions 200000] [--rounds 5] [--rate 20000] [--redis-cli redis-cli]
    uv run python benchmarks/list_speed.py --only-tables
"""

from __future__ import annotations

import argparse
import fcntl
import multiprocessing
import os
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.documents import document
from support.valkey import ValkeyServer

from awictl.document.byte_layout import encode

LIFE_MS = 100_000_000
#: Number of sessions in the lists that are printed as tables.
TABLE_SESSIONS = 20_000
#: Seconds of each phase of the foreground client.
PHASE_SECONDS = 4.0
AWICTL = [sys.executable, "-m", "awictl"]
NOBODY = "sess_" + "0" * 32


def fill(server: ValkeyServer, sessions: int) -> None:
    """Store sessions of 1 to 20 actions, and half as many other keys of AWI."""
    raws = [encode(document([20] * count, NOBODY)) for count in (1, 2, 5, 10, 20)]
    with server.raw.pipeline(transaction=False) as pipe:
        for number in range(sessions):
            session_id = f"sess_{number:032x}"
            raw = raws[number % len(raws)].replace(NOBODY.encode(), session_id.encode())
            pipe.set(f"AWI:SESSION:{session_id}", raw, px=LIFE_MS)
            if number % 4 == 0:
                pipe.set(f"AWI:DIFF:{session_id}", b'{"delta":{},"action":{}}', px=LIFE_MS)
            elif number % 4 == 1:
                pipe.set(f"AGENT:SESSION:agent-{number}", session_id, px=LIFE_MS)
            if number % 2_000 == 0:
                pipe.execute()
        pipe.execute()


def run(command: list[str], lines: int) -> tuple[float, float]:
    """Run a command that must print this many lines. Returns the seconds until its end and until its first line."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    found, first = 0, 0.0
    while chunk := process.stdout.read1(1 << 20):
        first = first or time.perf_counter() - started
        found += chunk.count(b"\n")
    assert (process.wait(), found) == (0, lines), (command, process.returncode, found)
    return time.perf_counter() - started, first


def run_on_terminal(command: list[str], lines: int) -> tuple[float, float]:
    """Run a command on a terminal, where it must print at least this many lines; otherwise as `run`."""
    reading, writing = os.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=writing, stderr=writing)
    os.close(writing)
    found, first = 0, 0.0
    with suppress(OSError):  # EIO: the process has closed the terminal
        while chunk := os.read(reading, 1 << 20):
            first = first or time.perf_counter() - started
            found += chunk.count(b"\n")
    os.close(reading)
    assert process.wait() == 0 and found >= lines, (command, process.returncode, found)
    return time.perf_counter() - started, first


def tables(rounds: int) -> None:
    """Print the time of lists as tables, relative to the same as JSON."""
    with ValkeyServer() as server, tempfile.TemporaryDirectory() as folder:
        fill(server, TABLE_SESSIONS)
        at = ["--redis", f"redis://127.0.0.1:{server.port}", "--archive", f"sqlite:///{folder}/archive.db"]
        sweep = [*AWICTL, *at, "archive", "sweep", "--margin", f"{LIFE_MS // 1000 + 1}s", "-q"]
        subprocess.run(sweep, check=True, stdout=subprocess.DEVNULL)
        for words in (["session", "list"], ["keys", "list"], ["archive", "list", "--all"]):
            lines = server.raw.dbsize() if words[0] == "keys" else TABLE_SESSIONS
            command = [*AWICTL, *at, *words]
            pairs = [(run([*command, "-o", "jsonl"], lines), run_on_terminal(command, lines)) for _ in range(rounds)]
            ratios = [table / json for (json, _), (table, _) in pairs]
            spread = f"{statistics.median(ratios):.2f} × ({min(ratios):.2f} to {max(ratios):.2f})"
            seconds, first = (statistics.median(values) for values in zip(*(table for _, table in pairs), strict=True))
            name = " ".join(words)
            print(f"{name:18} as a table: {seconds:.2f} s = {spread} the time of JSON; first row after {first:.2f} s")


def memory(command: list[str]) -> int:
    """Peak memory of a process, in KiB, read from /proc while it prints.

    The maximum that wait4 reports includes the process from which it was forked.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    status = Path(f"/proc/{process.pid}/status")
    most = 0
    while process.stdout.read1(1 << 20):
        if found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text()):
            most = int(found[1])
    process.wait()
    return most


def foreground(path: str, seconds: float, answers: multiprocessing.Queue[list[float]]) -> None:
    """Another client. Puts the latency of each of its requests in milliseconds."""
    request = b"*2\r\n$3\r\nGET\r\n$11\r\nsome:config\r\n"
    took = []
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        deadline = time.perf_counter() + seconds
        while (started := time.perf_counter()) < deadline:
            client.sendall(request)
            client.recv(64)
            took.append((time.perf_counter() - started) * 1000)
            time.sleep(0.001)
    answers.put(took)


def p99(server: ValkeyServer, command: list[str] | None) -> float:
    """The p99 latency of another client in milliseconds, alone or while a command runs."""
    answers: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
    client = multiprocessing.Process(target=foreground, args=(str(server.socket), PHASE_SECONDS, answers))
    scan = None
    if command is not None:
        scan = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        time.sleep(1.0)  # do not measure its start
    client.start()
    took = answers.get()
    client.join()
    if scan is not None:
        assert scan.poll() is None, "the scan ended too early; pass a lower --rate"
        scan.kill()
        scan.wait()
    return statistics.quantiles(took, n=100)[98]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--redis-cli", default="redis-cli")
    parser.add_argument("--only-tables", action="store_true", help="only compare tables with JSON")
    options = parser.parse_args()
    tables(options.rounds)
    if options.only_tables:
        return
    if shutil.which(options.redis_cli) is None:
        sys.exit(f"{options.redis_cli} is not installed; install Debian's redis-tools")
    with ValkeyServer() as server:
        fill(server, options.sessions)
        print(f"{options.sessions:,} sessions among {server.raw.dbsize():,} keys")
        at = ["--redis", f"redis://127.0.0.1:{server.port}"]
        commands = {
            "redis-cli --scan": [options.redis_cli, "-p", str(server.port), "--scan", "--pattern", "AWI:SESSION:*"],
            "list -o ids": [*AWICTL, *at, "session", "list", "-o", "ids"],
            "list -o jsonl": [*AWICTL, *at, "session", "list", "-o", "jsonl"],
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                found[name].append(run(command, options.sessions))
        base = [seconds for seconds, _ in found["redis-cli --scan"]]
        for name, runs in found.items():
            ratios = [seconds / its for (seconds, _), its in zip(runs, base, strict=True)]
            seconds, first = (statistics.median(values) for values in zip(*runs, strict=True))
            spread = f"{statistics.median(ratios):.2f} × ({min(ratios):.2f} to {max(ratios):.2f})"
            most = memory(commands[name]) / 1024
            print(f"{name:17} {seconds:5.2f} s = {spread}; first row after {first:.2f} s; {most:.0f} MiB")
        rated = ["--rate", str(options.rate)]
        scans = {
            "session list": [*commands["list -o jsonl"], *rated],
            "keys stats": [*AWICTL, *at, "keys", "stats", *rated],
            "doctor": [*AWICTL, *at, "doctor", *rated],
        }
        server.raw.set("some:config", "x")
        for name, scan in scans.items():
            rises = []
            for _ in range(options.rounds):
                alone = p99(server, None)
                rises.append((p99(server, scan) - alone, alone))
            rise, alone = (statistics.median(values) for values in zip(*rises, strict=True))
            print(f"{name} --rate {options.rate:,}: p99 of another client {alone:.2f} ms alone, {rise:+.2f} ms with it")


if __name__ == "__main__":
    main()
