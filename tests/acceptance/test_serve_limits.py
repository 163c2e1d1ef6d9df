"""`awictl serve`: limits on connections and unknown keys with real sockets, its log, and its files."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import redis
from support.cli import LIMIT_SECONDS, Cli
from support.mongo import MongoServer
from support.serving import Server, serving
from support.terminal import CTRL_C, on_terminal

STATE = "/api/agent/session/state"
#: Maximum number of open files of the server in these tests.
DESCRIPTORS = 128


@pytest.fixture
def operator(awictl: Cli) -> Cli:
    """A user with an archive in a file."""
    return awictl.having(AWI_ARCHIVE_URL=f"sqlite:///{awictl.home}/archive.db")


def register(user: Cli) -> str:
    return user.ok("agent", "register", "good", "-o", "raw", "-q").text.strip()


def connect(server: Server, address: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_SECONDS, source_address=(address, 0))


def statuses(server: Server, key: str, count: int) -> set[int]:
    """The statuses of requests on a new connection each."""
    transport = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))
    with httpx.Client(
        base_url=server.url, headers={"X-Agent-API-Key": key}, transport=transport, timeout=LIMIT_SECONDS
    ) as good:
        return {good.get(STATE).status_code for _ in range(count)}


def warnings_of(server: Server, message: str) -> list[dict[str, object]]:
    return [row for row in server.rows() if row["level"] == "warning" and message in row["message"]]


def test_idle_connections_are_closed_for_new_ones(operator: Cli) -> None:
    """More idle connections than the server may open files; the good agent is at the same address."""
    key = register(operator)
    with serving(operator, descriptors=DESCRIPTORS) as server, ExitStack() as stack:
        for _ in range(2 * DESCRIPTORS):
            stack.enter_context(connect(server))
        assert statuses(server, key, 100) == {200}
        warning, *_ = warnings_of(server, "too many connections from one address")
        assert warning["address"] == "127.0.0.1" and warning["limit"] == 16 and warning["closed_idle"] == 1
        assert not [row for row in server.rows() if row["level"] == "error"]


def test_connections_that_are_not_idle_leave_room_for_other_addresses(operator: Cli) -> None:
    key = register(operator)
    slow = f"POST {STATE} HTTP/1.1\r\nHost: x\r\nX-Agent-API-Key: {key}\r\nContent-Length: 12\r\n\r\n{{".encode()
    with serving(operator, "--request-timeout", "60s", descriptors=DESCRIPTORS) as server, ExitStack() as stack:
        held = [stack.enter_context(connect(server, "127.0.0.2")) for _ in range(16)]
        for connection in held:
            connection.sendall(slow)
        deadline = time.monotonic() + LIMIT_SECONDS
        while (
            "awictl_http_requests_in_flight 17.0" not in httpx.get(f"{server.url}/metrics", timeout=LIMIT_SECONDS).text
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with connect(server, "127.0.0.2") as refused:
            said = refused.recv(65_536)
            assert said.startswith(b"HTTP/1.1 429 ") and b"Too many connections" in said and refused.recv(1) == b""
        assert statuses(server, key, 20) == {200}
        warning, *_ = warnings_of(server, "too many connections from one address")
        assert warning["address"] == "127.0.0.2" and warning["refused"] == 1


def test_refused_requests_whose_bodies_do_not_arrive_leave_room(operator: Cli) -> None:
    """Their connections are kept open for a while, so that their senders read the response."""
    key = register(operator)
    with serving(operator, descriptors=DESCRIPTORS) as server, ExitStack() as stack:
        for number in range(5):
            for host in ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"):
                for _ in range(8):
                    slow = f"POST {STATE} HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n{{".encode()
                    stack.enter_context(connect(server, host)).sendall(slow)
            assert statuses(server, key, 1) == {200}, number


@pytest.mark.parametrize("with_key", [True, False], ids=["updates with one key", "registrations"])
def test_slow_bodies_from_many_addresses_leave_room_for_other_agents(operator: Cli, with_key: bool) -> None:
    """More addresses than connections, one connection each: the limit for each address does not help."""
    key, slow_key = (
        operator.ok("agent", "register", name, "--permission", "read", "--permission", "write", "-o", "raw", "-q").text
        for name in ("good", "slow")
    )
    head = f"POST {STATE} HTTP/1.1\r\nHost: x\r\nX-Agent-API-Key: {slow_key.strip()}\r\nContent-Length: 12\r\n\r\n{{"
    if not with_key:
        head = "POST /api/agent/register HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n{"
    options = ("--request-timeout", "60s", "--allow-register")
    with serving(operator, *options, descriptors=DESCRIPTORS) as server, ExitStack() as stack:
        held = []
        for number in range(40):
            held.append(stack.enter_context(connect(server, f"127.0.0.{number + 2}")))
            held[-1].sendall(head.encode())
            if number % 8 == 7:
                assert statuses(server, key.strip(), 3) == {200}, number
        assert statuses(server, key.strip(), 20) == {200}
        refused = [one.recv(65_536) for one in held[-24:]]
        assert refused[-1].startswith(b"HTTP/1.1 429 ")
        assert {said[:13] for said in refused} <= {b"HTTP/1.1 429 ", b""}, "closed for a new connection"


def test_a_proxy_is_not_limited_and_names_the_client(operator: Cli) -> None:
    """`X-Forwarded-For` counts only if it comes from the proxy."""
    key = register(operator)
    limits = ("--unknown-key-limit", "2", "--proxy", "127.0.0.2")
    with serving(operator, *limits, descriptors=DESCRIPTORS) as server, ExitStack() as stack:
        slow = f"POST {STATE} HTTP/1.1\r\nHost: x\r\nX-Agent-API-Key: {key}\r\nContent-Length: 12\r\n\r\n{{".encode()
        for _ in range(20):
            stack.enter_context(connect(server, "127.0.0.2")).sendall(slow)

        def status(address: str, client: str, number: int) -> int:
            with httpx.Client(
                transport=httpx.HTTPTransport(local_address=address), base_url=server.url, timeout=LIMIT_SECONDS
            ) as one:
                headers = {"X-Agent-API-Key": f"agent_{number:032x}", "X-Forwarded-For": client}
                return one.get(STATE, headers=headers).status_code

        assert [status("127.0.0.2", "192.0.2.1", number) for number in range(3)] == [401, 401, 429]
        assert [status("127.0.0.2", "192.0.2.2", number) for number in range(10, 13)] == [401, 401, 429]
        spoofed = [status("127.0.0.1", f"192.0.2.{number}", number) for number in range(20, 23)]
        assert spoofed == [401, 401, 429]


def test_invalid_proxies(operator: Cli) -> None:
    operator("serve", "--proxy", "example.com").error(2, "--proxy 'example.com' is not an IP address or network")


# -- the log


def test_every_line_of_the_log_is_json(operator: Cli) -> None:
    """Warnings, the access log, the start and the end of several workers, and Ctrl-C."""
    mistyped = operator.having(AWI_READONLY="1")
    with serving(mistyped, "--workers", "2", "--access-log", "--host", "0.0.0.0") as server:  # noqa: S104
        assert httpx.get(f"http://127.0.0.1:{server.port}/api/health", timeout=LIMIT_SECONDS).status_code == 200
        server.signal(signal.SIGINT)
        assert server.wait() == 130
    rows = server.rows()
    assert all(row.keys() >= {"time", "level", "logger", "message"} for row in rows)
    messages = [row["message"] for row in rows]
    assert (
        "AWI_READONLY" in messages[0] and "without TLS" in messages[1] and messages[-2:] == ["stopped", "interrupted"]
    )
    assert "GET /api/health 200" in messages


def test_an_error_at_the_start_is_json_too(operator: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        operator("serve", "--port", str(taken.getsockname()[1])).logged_error(4, "cannot listen on 127.0.0.1")


def test_the_log_on_a_terminal_is_text_without_control_characters(operator: Cli) -> None:
    evil = "evil\x1b]0;title\x07\n\x9b31m\u202eforged"
    with on_terminal(operator, "serve", "--port", "0", columns=200) as terminal:
        listening = re.compile(rb" info .*listening on http://127\.0\.0\.1:(\d+)\s")
        terminal.until(lambda _: listening.search(terminal.sent) is not None)
        [port] = map(int, listening.findall(terminal.sent))
        assert b'"message"' not in terminal.sent
        key = register(operator)
        state = httpx.get(
            f"http://127.0.0.1:{port}{STATE}", headers={"X-Agent-API-Key": key}, timeout=LIMIT_SECONDS
        ).json()
        with redis.Redis(host="127.0.0.1", port=int(operator.env["REDIS_PORT"])) as raw:
            raw.set(f"AWI:SESSION:{state['sessionId']}", evil, keepttl=True)
        assert (
            httpx.get(
                f"http://127.0.0.1:{port}{STATE}", headers={"X-Agent-API-Key": key}, timeout=LIMIT_SECONDS
            ).status_code
            == 409
        )
        terminal.until("request failed")
        terminal.press(CTRL_C)
        assert terminal.end() == 130
    sent = terminal.sent.decode()
    assert not {one for one in sent if not one.isprintable()} - {"\r", "\n"}, sent
    assert key not in sent


# -- the folder of the workers' metrics


@contextmanager
def shared_temporary_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="awi-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def metrics_folder(shared: Path) -> Path:
    """The folder of the workers' metrics, which must belong to the user alone."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not (found := [one for one in shared.iterdir() if list(one.glob("*.db"))]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    [folder] = found
    about = folder.lstat()
    assert stat.S_ISDIR(about.st_mode) and stat.S_IMODE(about.st_mode) == 0o700 and about.st_uid == os.getuid()
    return folder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_folder_of_metrics_is_private_and_removed(operator: Cli, number: int) -> None:
    with shared_temporary_folder() as shared:
        names = set()
        for _ in range(2 if number == signal.SIGTERM else 1):
            with serving(operator.having(TMPDIR=str(shared)), "--workers", "2") as server:
                names.add(metrics_folder(shared).name)
                server.signal(number)
                server.wait()
                deadline = time.monotonic() + LIMIT_SECONDS
                while list(shared.iterdir()) and time.monotonic() < deadline:
                    time.sleep(0.02)
                assert list(shared.iterdir()) == []
        assert len(names) == (2 if number == signal.SIGTERM else 1), "its name is random"


# -- a flood of unknown keys

#: Sends requests with unknown keys, paced, on four connections, and prints the number of each status.
FLOOD = """
import asyncio, collections, json, sys, time
port, first, count, rate = map(int, sys.argv[1:])
seen = collections.Counter()
left = iter(range(first, first + count))
async def client():
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in left:
        wait = started + (number - first) / rate - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        writer.write(b"GET %b HTTP/1.1\\r\\nHost: x\\r\\nX-Agent-API-Key: agent_%032x\\r\\n\\r\\n" % (PATH, number))
        head = await reader.readuntil(b"\\r\\n\\r\\n")
        seen[int(head.split()[1])] += 1
        length = int(head.lower().partition(b"content-length: ")[2].split()[0])
        await reader.readexactly(length)
    writer.close()
async def main():
    await asyncio.gather(*(client() for _ in range(4)))
started = time.monotonic()
asyncio.run(main())
print(json.dumps(seen))
""".replace("PATH", repr(STATE.encode()))


def p99_ms(server: Server, key: str, seconds: float, flooding: subprocess.Popen[bytes] | None = None) -> float:
    """The p99 of a good agent's requests, one per 5 ms, for a time or until the flood is over."""
    durations = []
    deadline = time.monotonic() + seconds
    with httpx.Client(base_url=server.url, headers={"X-Agent-API-Key": key}, timeout=LIMIT_SECONDS) as good:
        while time.monotonic() < deadline if flooding is None else flooding.poll() is None:
            started = time.perf_counter()
            assert good.get(STATE).status_code == 200
            durations.append((time.perf_counter() - started) * 1000)
            time.sleep(0.005)
    return sorted(durations)[int(len(durations) * 0.99)]


@pytest.mark.soak
def test_a_good_agent_is_as_fast_during_a_flood_of_unknown_keys(awictl: Cli, mongo: MongoServer) -> None:
    """100,000 unknown keys in ten parts, with a calm time before each; the median of the ten ratios counts.

    The good agent's key expires from the cache meanwhile.
    """
    user = awictl.having(MONGODB_URI=mongo.uri)
    key = register(user)
    seen: Counter[str] = Counter()
    pairs = []
    with serving(user, "--rate-limit", "0") as server:
        p99_ms(server, key, 1)
        for part in range(10):
            calm = p99_ms(server, key, 4)
            command = [sys.executable, "-c", FLOOD, str(server.port), str(part * 10_000), "10000", "1500"]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as flooding:
                pairs.append((calm, p99_ms(server, key, 0, flooding)))
                assert flooding.stdout is not None
                seen.update(json.loads(flooding.stdout.read()))
    ratio = statistics.median(flooded / calm for calm, flooded in pairs)
    print(f"\np99 in ms, calm and flooded: {pairs}; median of the ratios {ratio:.2f}; {dict(seen)}")
    assert seen.total() == 100_000 and seen.keys() == {"401", "429"} and seen["401"] < 300
    assert ratio <= 2
