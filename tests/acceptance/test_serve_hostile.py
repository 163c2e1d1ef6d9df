"""`awictl serve` with hostile clients: no 500, no traceback, no API key in the log, no effect on other agents."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.cli import LIMIT_SECONDS, Cli, unchanged
from support.serving import NO_TLS, Server, serving
from support.valkey import ValkeyServer

STATE = "/api/agent/session/state"
UPDATE = b'{"delta":{}}'
#: Its requests time out soon, but not those that it sends to Redis on a busy machine.
SHARED_OPTIONS = ("--request-timeout", "1s", "--rate-limit", "0", "--timeout", "60")
#: Seconds in which a server must exit: those that it gives requests (three), and much more for a busy machine.
EXIT_SECONDS = 20.0


@dataclass
class Site:
    """A server, its Valkey, and the keys of two agents: Mallory is hostile, Alice must not be affected."""

    server: Server
    valkey: ValkeyServer
    user: Cli
    mallory: str
    alice: str

    def client(self, key: str | None = None) -> httpx.Client:
        """A client with an agent's key; Mallory's by default."""
        headers = {"X-Agent-API-Key": key or self.mallory}
        return httpx.Client(base_url=self.server.url, headers=headers, timeout=LIMIT_SECONDS, verify=NO_TLS)

    @property
    def key(self) -> bytes:
        """The header with Mallory's key."""
        return b"X-Agent-API-Key: " + self.mallory.encode() + b"\r\n"

    def head(self, method: str, *lines: bytes, path: str = STATE) -> bytes:
        """The head of a request with Mallory's key."""
        return (
            b"%b %b HTTP/1.1\r\nHost: x\r\n" % (method.encode(), path.encode())
            + self.key
            + b"".join(line + b"\r\n" for line in lines)
            + b"\r\n"
        )


def sent_back(port: int, *parts: bytes | float, half_close: bool = False, seconds: float = 20.0) -> bytes:
    """Everything that a server sends until it closes the connection. Numbers in `parts` are pauses in seconds."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        try:
            for part in parts:
                if isinstance(part, bytes):
                    connection.sendall(part)
                else:
                    time.sleep(part)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server stopped reading
        try:
            while data := connection.recv(65_536):
                said += data
        except ConnectionResetError:
            pass
    return said


def responses(said: bytes) -> list[tuple[int, dict[bytes, bytes], Any]]:
    """The responses in what a server sent: status, headers and JSON body."""
    found = []
    while said:
        head, _, rest = said.partition(b"\r\n\r\n")
        line, *lines = head.split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(b":") for one in lines)}
        length = int(headers.get(b"content-length", 0))
        body, said = rest[:length], rest[length:]
        assert len(body) == length, "cut short"
        found.append((int(line.split()[1]), headers, json.loads(body) if body else None))
    return found


def assert_refused(said: bytes, *statuses: int) -> None:
    """Assert that a server sent one response: an error in the shape of the API."""
    [(status, headers, body)] = responses(said)
    assert status in statuses, said
    assert headers[b"content-type"] == b"application/json" and headers[b"connection"] == b"close"
    assert body["success"] is False and body["error"] and body["message"]


def assert_calm(site: Site) -> None:
    """Assert that the log has no traceback, no error and no API key."""
    log = site.server.log()
    assert "raceback" not in log and "agent_" not in log.replace("agent_****", ""), log[-3000:]
    rows = [json.loads(line) for line in log.splitlines()]
    errors = [row["message"] for row in rows if row["level"] in ("error", "critical")]
    assert all(message.startswith("Cancel ") for message in errors), log[-3000:]


@contextmanager
def running_site(valkey: ValkeyServer, *options: str) -> Iterator[Site]:
    home = Path(tempfile.mkdtemp(prefix="awi-", dir="/tmp"))
    try:
        user = Cli.at(home).having(
            REDIS_HOST="127.0.0.1", REDIS_PORT=str(valkey.port), AWI_ARCHIVE_URL=f"sqlite:///{home}/archive.db"
        )
        keys = [
            user.ok(
                "agent", "register", name, "--permission", "read", "--permission", "write", "-o", "raw"
            ).text.strip()
            for name in ("mallory", "alice")
        ]
        with serving(replace(user, fresh=True), *options) as server:  # which counts its memory alone
            yield Site(server, valkey, user, *keys)
    finally:
        shutil.rmtree(home)


@pytest.fixture(scope="module")
def shared_site() -> Iterator[Site]:
    with ValkeyServer() as valkey, running_site(valkey, *SHARED_OPTIONS) as site:
        with site.client(site.alice) as alice:
            assert alice.post(STATE, json={"delta": {"page_state": {"filters": {"mine": 1}}}}).status_code == 200
        yield site


@pytest.fixture
def site(shared_site: Site) -> Iterator[Site]:
    """The site that the tests of this module share; afterwards, Alice's session must be unchanged."""
    raw = shared_site.valkey.raw
    with shared_site.client(shared_site.alice) as alice:
        session_id = alice.get(STATE).json()["sessionId"]
    names = [f"AWI:SESSION:{session_id}", f"AWI:DIFF:{session_id}"]
    names += [name for name in raw.keys("AGENT:SESSION:*") if raw.get(name) == session_id.encode()]
    before = raw.mget(names)
    yield shared_site
    assert raw.mget(names) == before
    with shared_site.client(shared_site.alice) as alice:
        assert alice.get(STATE).json()["sessionId"] == session_id
    assert_calm(shared_site)
    assert shared_site.alice not in shared_site.server.log() and shared_site.mallory not in shared_site.server.log()


def test_incomplete_heads_and_clients_that_do_not_read(site: Site) -> None:
    """The connection is closed after the request timeout, whatever it was waiting for."""
    whole = site.head("GET")
    slow = [b"", b"GET / HTTP/1.1\r\nA: ", whole, whole + whole[:-2], whole]
    connections = []
    for beginning in slow:
        connection = socket.create_connection(("127.0.0.1", site.server.port))
        connection.sendall(beginning)
        connections.append(connection)
    connections[4].recv(65_536)
    connections[4].sendall(b"\r\n")
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect(("127.0.0.1", site.server.port))
    reader.setblocking(False)
    wanted = site.head("GET", path="/openapi.json") * 400
    with pytest.raises(BlockingIOError):
        for _ in range(1_000):
            reader.send(wanted)
    started = time.monotonic()
    ends: dict[int, bool] = {}
    for i in (0, 1, 3, 4):
        connections[i].settimeout(max(0.1, 20 - (time.monotonic() - started)))
        with connections[i] as connection:
            while connection.recv(65_536):
                pass
        ends[i] = True
    assert len(ends) == 4 and 0.5 < time.monotonic() - started < 20
    connections[2].close()
    with reader, pytest.raises(OSError):
        while time.monotonic() - started < 20:  # a busy machine takes several seconds more than the timeout
            time.sleep(0.1)
            with suppress(BlockingIOError):
                reader.send(b"x")


MALFORMED = {
    "garbage": b"GARBAGE\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another version": b"GET / HTTP/9.9\r\n\r\n",
    "NUL in the path": b"GET /\0 HTTP/1.1\r\n\r\n",
    "UTF-8 in the path": "GET /ü HTTP/1.1\r\n\r\n".encode(),
    "NUL in a header": b"GET / HTTP/1.1\r\nA: \0\r\n\r\n",
    "control characters in a header": b"GET / HTTP/1.1\r\nA: \x01\x7f\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
    "a lone CR": b"GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n",
    "a space before the colon": b"POST / HTTP/1.1\r\nContent-Length : 5\r\n\r\nabcde",
    "CONNECT": b"CONNECT example.com:80 HTTP/1.1\r\n\r\n",
    "a URL without a path": b"GET http://example.com HTTP/1.1\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n012345",
    "a length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    "a length beyond 64 bits": b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "chunks before another encoding": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_http(site: Site, name: str) -> None:
    assert_refused(sent_back(site.server.port, MALFORMED[name]), 400)


FLOODS = {
    "headers": (b"GET / HTTP/1.1\r\n", b"A: b\r\n" * 200_000),
    "an endless header": (b"GET / HTTP/1.1\r\nA: ", b"a" * 20_000_000),
    "an endless URL": (b"GET /" + b"a" * 20_000_000,),
    "an endless header name": (b"GET / HTTP/1.1\r\n" + b"a" * 20_000_000,),
    "an endless method": (b"G" * 20_000_000,),
    "empty lines": (b"\r\n" * 1_000_000,),
}


@pytest.mark.parametrize("name", FLOODS)
def test_endless_heads(site: Site, name: str) -> None:
    before = site.server.rss()
    said = sent_back(site.server.port, *FLOODS[name])
    if said:  # it may be lost if the client keeps sending
        assert_refused(said, 400, 431)
    assert site.server.rss() - before < 20_000_000


TRANSFERS = {
    "an invalid chunk size": (b"zz\r\n\r\n",),
    "a chunk beyond 64 bits": (b"fffffffffffffffffffff\r\n",),
    "endless trailers": (b"0\r\n", b"A: b\r\n" * 200_000),
    "an endless trailer": (b"0\r\nA: ", b"a" * 20_000_000),
    "an endless chunk extension": (b"1;", b"a" * 20_000_000),
    "endless tiny chunks": (b"1\r\n \r\n" * 1_000_000,),
    "a huge chunk that never arrives": (b"ffffffffffff\r\n ",),
}


@pytest.mark.parametrize("name", TRANSFERS)
def test_malformed_chunks(site: Site, name: str) -> None:
    before = site.server.rss()
    said = sent_back(site.server.port, site.head("POST", b"Transfer-Encoding: chunked"), *TRANSFERS[name])
    if said or "endless" not in name:
        assert_refused(said, 400, 408, 413, 431)
    assert site.server.rss() - before < 20_000_000


def test_an_unknown_transfer_encoding(site: Site) -> None:
    assert_refused(sent_back(site.server.port, site.head("POST", b"Transfer-Encoding: gzip"), b"012345"), 400)


def test_endless_bodies(site: Site) -> None:
    """The server does not read more than it needs to be heard, whatever the request is."""
    before = site.server.rss()
    whole = [b"x" * 1_000_000] * 50
    huge = b"Content-Length: 99999999999"
    requests = []
    anybody = f"POST {STATE} HTTP/1.1\r\nHost: x\r\n".encode()
    for status, request in [
        (200, site.head("GET", huge)),
        (401, anybody + huge + b"\r\n\r\n"),
        (404, site.head("POST", huge, path="/nowhere")),
        (405, site.head("PUT", huge)),
        (413, site.head("POST", huge)),
        (413, site.head("POST", b"Content-Length: 18446744073709551615")),
    ]:
        requests.append((status, request))
    with ThreadPoolExecutor(len(requests)) as pool:
        answers = pool.map(lambda one: sent_back(site.server.port, one[1], *whole), requests)
        for (status, _), said in zip(requests, answers, strict=True):
            assert not said or [one for one, _, _ in responses(said)] == [status], (status, said)
    assert site.server.rss() - before < 20_000_000


def test_expect_100_continue(site: Site) -> None:
    port, expect = site.server.port, b"Expect: 100-continue"
    assert_refused(sent_back(port, site.head("POST", expect, b"Content-Length: 999999999999")), 413)
    assert_refused(sent_back(port, site.head("POST", expect, b"Content-Length: 12", path="/nowhere")), 404)
    said = sent_back(port, site.head("POST", expect, b"Content-Length: 12", b"Connection: close"), 0.1, UPDATE)
    assert [status for status, _, _ in responses(said)] == [100, 200]
    said = sent_back(port, site.head("POST", expect, b"Content-Length: 12"))
    assert [status for status, _, _ in responses(said)] == [100, 408], "the body never arrives"


def test_slow_and_incomplete_bodies(site: Site) -> None:
    port = site.server.port
    started = time.monotonic()
    assert_refused(sent_back(port, site.head("POST", b"Content-Length: 12"), *[b" ", 0.2] * 10), 408)
    assert time.monotonic() - started < 20
    assert sent_back(port, site.head("POST", b"Content-Length: 12"), b"{", half_close=True) == b""


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.2"])
def test_an_upgrade_is_ignored_and_its_body_is_not_a_request(site: Site, protocol: bytes) -> None:
    """Otherwise the body would be the next request, smuggled past a proxy in front of the server."""
    upgrade = (b"Connection: Upgrade", b"Upgrade: " + protocol)
    end = site.head("GET", b"Connection: close", path="/api/health")
    smuggled = site.head("POST", path="/api/agent/session/end")
    for pause in ((), (0.2,)):
        said = sent_back(site.server.port, site.head("GET", *upgrade), *pause, end)
        assert [status for status, _, _ in responses(said)] == [200, 200]
        length = b"Content-Length: %d" % len(UPDATE)
        said = sent_back(site.server.port, site.head("POST", *upgrade, length), *pause, UPDATE + end)
        assert [status for status, _, _ in responses(said)] == [200, 200]
        length = b"Content-Length: %d" % len(smuggled)
        said = sent_back(site.server.port, site.head("POST", *upgrade, length), *pause, smuggled + end)
        assert [status for status, _, _ in responses(said)] == [400, 200]
        chunks = b"Transfer-Encoding: chunked"
        said = sent_back(
            site.server.port, site.head("POST", *upgrade, chunks), *pause, b"c\r\n%b\r\n0\r\n\r\n" % UPDATE + end
        )
        assert [status for status, _, _ in responses(said)] == [200, 200]
    assert_refused(sent_back(site.server.port, site.head("POST", *upgrade, b"Transfer-Encoding: gzip"), b"0123"), 400)
    assert_refused(sent_back(site.server.port, site.head("POST", *upgrade, b"Content-Length: 5", chunks), b"0123"), 400)
    assert_refused(sent_back(site.server.port, site.head("POST", *upgrade, b"Content-Length: 50"), b"0123"), 408)


def test_trailers_are_not_headers(site: Site) -> None:
    """A proxy in front of the server does not check them, so a trailer must not authenticate a request."""
    anybody = f"POST {STATE} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode()
    said = sent_back(site.server.port, anybody + b"c\r\n" + UPDATE + b"\r\n0\r\n" + site.key + b"\r\n")
    assert_refused(said, 401)


def test_pipelined_requests(site: Site) -> None:
    get, end = site.head("GET"), site.head("GET", b"Connection: close")
    said = sent_back(site.server.port, get * 50 + end + get * 50)
    assert [status for status, _, _ in responses(said)] == [200] * 51
    for broken in (b"GARBAGE\r\n\r\n", b"GET /\0 HTTP/1.1\r\n\r\n", site.head("POST", b"Transfer-Encoding: gzip")):
        sent_back(site.server.port, get + broken)
        sent_back(site.server.port, get * 3 + broken)
    for _ in range(20):
        sent_back(site.server.port, get * 5, half_close=True)
        with socket.create_connection(("127.0.0.1", site.server.port)) as connection:
            connection.sendall(get * 5)


TARGETS = {
    "OPTIONS * HTTP/1.1": 404,
    "CONNECT /api/agent/session/state HTTP/1.1": 405,
    "GET http://example.com/api/agent/session/state HTTP/1.1": 200,
    "GET /api/agent/session/state HTTP/1.0": 200,
    "GET /api/agent/session/%73tate HTTP/1.1": 200,
    "GET /api/agent/session/state?%zz%ff%00%ed%a0%80&a[$ne]=1 HTTP/1.1": 200,
    "GET /%zz%ff%00%ed%a0%80 HTTP/1.1": 404,
    "GET //api/agent/session/state HTTP/1.1": 404,
    "GET /api/agent/session/state/ HTTP/1.1": 200,
    "GET /api/agent/session/state// HTTP/1.1": 404,
    "GET /api/agent/session//state HTTP/1.1": 404,
    "GET /api/agent/session/state%0a HTTP/1.1": 404,
    "GET /api/agent/session/state%0a/ HTTP/1.1": 404,
    "GET /api/agent/session/state/%0d%0aX-A:%20b HTTP/1.1": 404,
    "GET /api/agent/session/state%00/ HTTP/1.1": 404,
    "GET / HTTP/1.1": 404,
    "GET // HTTP/1.1": 404,
    "GET /api/agent/session/../session/state HTTP/1.1": 404,
    "GET /api/agent/session/%2e%2e/session/state HTTP/1.1": 404,
    "GET /api/agent/session/state%2f%2e%2e HTTP/1.1": 404,
    "GET /api/agent/session/__proto__ HTTP/1.1": 404,
    "PROPFIND /api/agent/session/state HTTP/1.1": 405,
}


@pytest.mark.parametrize("line", TARGETS)
def test_unusual_targets(site: Site, line: str) -> None:
    said = sent_back(site.server.port, line.encode() + b"\r\nHost: x\r\nConnection: close\r\n" + site.key + b"\r\n")
    assert [status for status, _, _ in responses(said)] == [TARGETS[line]]


def test_long_urls(site: Site) -> None:
    with site.client() as client:
        assert client.get(STATE, params={"q": "a" * 30_000}).status_code == 200
        assert client.get("/" + "a" * 40_000).status_code == 431


ROUTES = ("state", "diff", "history", "cache", "end")


def test_head_and_other_methods(site: Site) -> None:
    with site.client() as client:
        client.get(STATE)
        paths = [f"/api/agent/session/{name}" for name in ROUTES]
        for path in (*paths, "/api/agent/register", "/api/health", "/metrics", "/openapi.json", "/"):
            answer = client.head(path)
            assert answer.status_code in (200, 404, 405) and not answer.content
            for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
                answer = client.request(method, path)
                assert answer.status_code == (404 if path == "/" else 405) and answer.json()["success"] is False


def test_invalid_keys(site: Site) -> None:
    for wrong in (
        b"",
        b"x" * 20_000,
        b"\xe9\xff",
        b"agent_" + b"0" * 32,
        b"' OR 1=1 --",
        b'{"$ne":null}',
        b"__proto__",
    ):
        for name in (b"X-Agent-API-Key", b"Authorization: Bearer", b"Authorization: bearer "):
            colon = b": " if b":" not in name else b" "
            request = f"GET {STATE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode()
            assert_refused(sent_back(site.server.port, request + name + colon + wrong + b"\r\n\r\n"), 401)


#: Values of `Authorization` that are no API key, with Mallory's key for `KEY`; the last lines are other headers.
NO_KEYS = {
    "empty": b"Authorization: \r\n",
    "no key": b"Authorization: Bearer\r\n",
    "only a space": b"Authorization: Bearer \t \r\n",
    "a key with a space": b"Authorization: agent _KEY\r\n",
    "a key and more": b"Authorization: KEY KEY\r\n",
    "a bearer token and more": b"Authorization: Bearer KEY KEY\r\n",
    "another scheme": b"Authorization: Basic KEY\r\n",
    "the scheme twice": b"Authorization: Bearer Bearer KEY\r\n",
    "a list": b"Authorization: KEY, KEY\r\n",
    "in quotes": b'Authorization: "KEY"\r\n',
    "two keys": b"Authorization: Bearer KEY\r\nAuthorization: Bearer x\r\n",
    "another key first": b"Authorization: x\r\nAuthorization: KEY\r\n",
    "the key again": b"X-Agent-API-Key: KEY\r\nX-Agent-API-Key: KEY, KEY\r\n",
    "a wrong key in the first header": b"X-Agent-API-Key: x\r\nAuthorization: KEY\r\n",
}


@pytest.mark.parametrize("name", NO_KEYS)
def test_headers_without_an_api_key(site: Site, name: str) -> None:
    head = b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" % STATE.encode()
    headers = NO_KEYS[name].replace(b"KEY", site.mallory.encode())
    assert_refused(sent_back(site.server.port, head + headers + b"\r\n"), 401)


def test_keys_in_unusual_places_are_not_logged(site: Site) -> None:
    key = site.mallory
    with site.client() as client:
        client.headers["User-Agent"] = client.headers["Cookie"] = key
        assert client.get(f"{STATE}?key={key}").status_code == 200
        assert client.get(f"/{key}?{key}").status_code == 404
        assert client.get(f"/api/agent/session/history?limit={key}").status_code == 200
        assert client.request(key, "/").status_code == 400
        for body in ({key: 1}, {"delta": {key: key}, "action": key}, {"delta": {}, "op_id": key}, {"delta": key}):
            assert client.post(STATE, json=body).status_code in (200, 400)
    assert key not in site.server.log()


BAD_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "not JSON": b"{",
    "not an object": b"[]",
    "null": b"null",
    "100,000 arrays": b"[" * 100_000 + b"]" * 100_000,
    "100,000 objects": b'{"delta":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    "300 arrays": b'{"delta":{"a":' + b"[" * 300 + b"]" * 300 + b"}}",
    "1e999": b'{"delta":{"a":1e999}}',
    "NaN": b'{"delta":{"a":NaN}}',
    "10**400": b'{"delta":{"a":1' + b"0" * 400 + b"}}",
    "a lone surrogate": rb'{"delta":{"a":"\ud800"}}',
    "a lone surrogate as a name": rb'{"delta":{"\ud800":1}}',
    "not UTF-8": b'{"delta":{"a":"\xff"}}',
    "UTF-16": '{"delta":{}}'.encode("utf-16"),
    "a name of the session": b'{"delta":{"session_id":"x"}}',
    "a name of the agent": b'{"delta":{"agent_id":"x"}}',
    "the history": b'{"delta":{"history":{}}}',
    "a second delta": b'{"delta":{"a":1},"delta":{"session_id":"x"}}',
    "another session": b'{"delta":{},"session_id":"sess_x"}',
    "a prototype": b'{"delta":{},"__proto__":{"delta":1}}',
    "an op_id with spaces": b'{"delta":{},"op_id":"a b"}',
    "an op_id with a quote": rb'{"delta":{},"op_id":"x\"}"}',
    "a path as op_id": b'{"delta":{},"op_id":"../x"}',
    "a number as op_id": b'{"delta":{},"op_id":5}',
    "a long op_id": b'{"delta":{},"op_id":"' + b"x" * 129 + b'"}',
    "a number as action": b'{"delta":{},"action":5}',
    "success that is not a boolean": b'{"delta":{},"success":"yes"}',
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_invalid_updates(site: Site, name: str) -> None:
    with site.client() as client:
        client.get(STATE)  # creates the session, if this test is the first
    with site.client() as client, unchanged_except_ttl(site.valkey):
        answer = client.post(STATE, content=BAD_BODIES[name])
        assert answer.status_code == 400 and answer.json()["success"] is False, answer.text


@contextmanager
def unchanged_except_ttl(valkey: ValkeyServer) -> Iterator[None]:
    """Assert that a block changes no value."""
    before = {key: valkey.raw.dump(key) for key in valkey.raw.scan_iter(count=1000)}
    yield
    assert {key: valkey.raw.dump(key) for key in valkey.raw.scan_iter(count=1000)} == before


@pytest.mark.parametrize("name", ["permissions", "user_id", "agent_name", "query_cache"])
def test_fields_that_only_the_site_can_change(site: Site, name: str) -> None:
    with site.client() as client, unchanged_except_ttl(site.valkey):
        assert client.post(STATE, json={"delta": {name: {"active_cache_key": "x"}}}).status_code == 403


def test_names_with_a_meaning_in_other_languages(site: Site) -> None:
    delta = {"__proto__": {"x": 1}, "constructor": {"prototype": 1}, "$where": "1", "$set": {"a.b": 1}, "\0": 2, "": 3}
    with site.client() as client:
        answer = client.post(STATE, json={"delta": delta})
        assert answer.status_code == 200 and answer.json()["action"]["delta"] == delta


def test_a_body_of_fifty_megabytes(site: Site) -> None:
    before = site.server.rss()
    with site.client() as client:
        for content in (b"x" * 50_000_000, (b"x" * 1_000_000 for _ in range(50))):
            try:
                answer = client.post(STATE, content=content)
            except (httpx.WriteError, httpx.ReadError):
                continue  # the server stopped reading
            assert answer.status_code == 413 and answer.json()["success"] is False
    assert site.server.rss() - before < 20_000_000


def test_many_concurrent_connections(site: Site) -> None:
    before = site.server.rss()
    bodies = site.head("POST", b"Content-Length: 1000000") + b" " * 60_000
    beginnings = [b"", b"GET", site.head("GET")[:-2], bodies, site.head("GET") * 3]
    connections = [socket.create_connection(("127.0.0.1", site.server.port)) for _ in range(300)]
    for i, connection in enumerate(connections):
        connection.sendall(beginnings[i % len(beginnings)])
    with site.client(site.alice) as alice:
        assert alice.get(STATE).status_code == 200
    for connection in connections:
        connection.close()
    assert site.server.rss() - before < 60_000_000


DAMAGES: Sequence[Any] = ([[]], {"a": {}}, "x", None, 2**64 - 1)


@pytest.mark.parametrize("values", [DAMAGES[:2], pytest.param(DAMAGES[2:], marks=pytest.mark.soak)], ids=["2", "3"])
def test_damaged_sessions(site: Site, values: Sequence[Any]) -> None:
    """Whatever is in any field, the agent gets a response, and the log says what is wrong."""
    raw = site.valkey.raw
    with site.client() as client:
        session_id = client.get(STATE).json()["sessionId"]
        key = f"AWI:SESSION:{session_id}"
        good = json.loads(raw.get(key))
        mapping = f"AGENT:SESSION:{good['agent_id']}"

        def ask(damaged: bytes) -> None:
            raw.set(key, damaged, px=600_000)
            raw.set(mapping, session_id, px=600_000)
            for name in ("state", "diff", "history", "cache"):
                answer = client.get(f"/api/agent/session/{name}")
                assert answer.status_code in (200, 409) and "success" in answer.json(), (damaged, name, answer.text)
            for body in (b'{"delta":{"page_state":{"filters":{"a":1}}}}', b'{"delta":{},"op_id":"abc"}'):
                answer = client.post(STATE, content=body)
                # whether an op_id was applied before is unknown if the trajectory is not complete
                unknown = answer.status_code == 503 and answer.json()["op_id"] == "abc" and b"op_id" in body
                assert answer.status_code in (200, 409) or unknown, (damaged, answer.text)
                assert "success" in answer.json(), (damaged, answer.text)

        for value in values:
            for name in good:
                if name != "agent_id":
                    ask(json.dumps({**good, name: value}).encode())
            for part in ("history", "statistics", "page_state", "query_cache"):
                for name in good[part]:
                    ask(json.dumps({**good, part: {**good[part], name: value}}).encode())
            ask(json.dumps({**good, "history": {"actions": [value], "last_action": value}}).encode())
        text = json.dumps(good).encode()
        for damaged in (
            b"",
            b"no JSON",
            bytes(range(256)),
            text[:-5],
            b"[]",
            b"\n" * 10_000,
            text[:-1] + b',"d":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            text[:-1] + b',"d":' + b"[" * 950 + b"]" * 950 + b"}",
            text[:-1] + b',"d":1' + b"0" * 5_000 + b"}",
            text[:-1] + b',"d":NaN}',
            text[:-1] + rb',"d":"\ud800"}',
            text[:-1] + b',"d":"' + b"x" * 2_000_000 + b'"}',
        ):
            ask(damaged)
        for strange in (b"", b"x", b"\xff", b"../x", b"sess_none", b"sess_" + b"a" * 65):
            raw.set(key, text)
            raw.set(mapping, strange)
            assert client.get(STATE).status_code == 200
        raw.delete(key, mapping)


def test_keys_of_the_wrong_type(site: Site) -> None:
    raw = site.valkey.raw
    with site.client() as client:
        for name in ("AGENT", "SESSION", "DIFF", "CACHE"):
            session_id = client.get(STATE).json()["sessionId"]
            document = json.loads(raw.get(f"AWI:SESSION:{session_id}"))
            document["query_cache"]["active_cache_key"] = "ab" * 16
            raw.set(f"AWI:SESSION:{session_id}", json.dumps(document))
            key = {
                "AGENT": f"AGENT:SESSION:{document['agent_id']}",
                "SESSION": f"AWI:SESSION:{session_id}",
                "DIFF": f"AWI:DIFF:{session_id}",
                "CACHE": "AWI:CACHE:LIST:" + "ab" * 16,
            }[name]
            for damage in ("list", "hash", "no JSON", "[]"):
                raw.delete(key)
                if damage == "list":
                    raw.rpush(key, "x")
                elif damage == "hash":
                    raw.hset(key, "x", "y")
                else:
                    raw.set(key, damage)
                for path in ROUTES[:-1]:
                    answer = client.get(f"/api/agent/session/{path}")
                    assert answer.status_code in (200, 409) and "success" in answer.json(), (key, damage, answer.text)
            raw.delete(key)


def test_a_mapping_to_the_session_of_another_agent(site: Site) -> None:
    raw = site.valkey.raw
    with site.client() as client, site.client(site.alice) as alice:
        hers = alice.get(STATE).json()["sessionId"]
        mine = client.get(STATE).json()["sessionId"]
        mapping = f"AGENT:SESSION:{json.loads(raw.get(f'AWI:SESSION:{mine}'))['agent_id']}"
        for name in ROUTES:
            raw.set(mapping, hers)
            method = "POST" if name == "end" else "GET"
            answer = client.request(method, f"/api/agent/session/{name}")
            assert answer.status_code in (200, 404) and hers not in answer.text
        raw.set(mapping, hers)
        answer = client.post(STATE, json={"delta": {"page_state": {"filters": {"mine": 2}}}})
        assert answer.status_code == 200 and answer.json()["sessionId"] != hers


@pytest.mark.parametrize("key", ["../SESSION:x", "*", "AWI:SESSION:x", "", "x\0y", 5, ["a"], {"a": 1}])
def test_invalid_cache_keys(site: Site, key: Any) -> None:
    raw = site.valkey.raw
    with site.client() as client:
        name = f"AWI:SESSION:{client.get(STATE).json()['sessionId']}"
        document = json.loads(raw.get(name))
        raw.set(name, json.dumps({**document, "query_cache": {"active_cache_key": key, "cached_at": {}}}))
        answer = client.get("/api/agent/session/cache")
        assert answer.status_code == 200 and answer.json()["cached"] is False


def test_invalid_rate_limit_counters() -> None:
    with ValkeyServer() as valkey, running_site(valkey, "--rate-limit", "10") as site, site.client() as client:
        session_id = client.get(STATE).json()["sessionId"]
        agent_id = json.loads(valkey.raw.get(f"AWI:SESSION:{session_id}"))["agent_id"]
        key = f"RATELIMIT:{agent_id}:state"
        for value in (b"x", b"", b"1.5", b"9223372036854775807", b"9" * 30, b"-5"):
            valkey.raw.set(key, value)
            assert client.get(STATE).status_code in (200, 429, 503)
        valkey.raw.delete(key)
        valkey.raw.rpush(key, 1)
        assert client.get(STATE).status_code in (409, 503)
        valkey.raw.delete(key)
        assert_calm(site)


def test_redis_refuses_commands() -> None:
    with ValkeyServer() as valkey, running_site(valkey) as site, site.client() as client:
        assert client.get(STATE).status_code == 200

        def refuses(name: str) -> None:
            with (
                unchanged(valkey) if "key" not in name and "get" not in name else nullcontext()
            ):  # the test may not read either
                for path in ROUTES:
                    method = "POST" if path == "end" else "GET"
                    answer = client.request(method, f"/api/agent/session/{path}")
                    assert answer.status_code == 503 and "success" in answer.json(), (name, answer.text)
                answer = client.post(STATE, content=UPDATE)
                assert answer.status_code == 503 and answer.headers["retry-after"], (name, answer.text)
            assert client.get("/api/health").status_code in (200, 503)

        valkey.raw.config_set("maxmemory-policy", "noeviction")
        valkey.raw.config_set("maxmemory", "1")
        refuses("out of memory")
        valkey.raw.config_set("maxmemory", "0")
        for rule in ("-evalsha", "-get", "resetkeys"):
            valkey.raw.execute_command("ACL", "SETUSER", "default", "+@all", "~*", rule)
            refuses(rule)
            valkey.raw.execute_command("ACL", "SETUSER", "default", "+@all", "~*")
        assert client.get(STATE).status_code == 200
        assert_calm(site)
        assert "out of memory" in site.server.log()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def stop_in_time(server: Server, number: int) -> int:
    children = server.children()
    started = time.monotonic()
    server.signal(number)
    code = server.wait()
    while any(map(alive, children)) and time.monotonic() - started < EXIT_SECONDS:
        time.sleep(0.01)
    assert time.monotonic() - started < EXIT_SECONDS, [pid for pid in children if alive(pid)]
    return code


@pytest.fixture
def many(request: pytest.FixtureRequest, valkey: ValkeyServer) -> Iterator[Site]:
    """A site of the test's own, with one or two workers that are ready."""
    with running_site(valkey, "--workers", request.param) as site:
        wait_for_workers(site.server, int(request.param))
        yield site


def wait_for_workers(server: Server, count: int) -> None:
    if count > 1:
        deadline = time.monotonic() + LIMIT_SECONDS
        while len(serving_processes(server)) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1)
    assert httpx.get(f"{server.url}/api/health", verify=NO_TLS, timeout=LIMIT_SECONDS).status_code == 200


def serving_processes(server: Server) -> list[int]:
    found = []
    for pid in server.children():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended since
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def wait_until_read(port: int) -> None:
    """Wait until a server at this port of 127.0.0.1 has read what was sent to it, and a moment longer."""
    deadline = time.monotonic() + LIMIT_SECONDS
    address = f"0100007F:{port:04X}"
    while True:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        # local address, state 1 (established), and what was sent and received, but not yet read
        if all(int(row[4].partition(":")[2], 16) == 0 for row in rows if (row[1], row[3]) == (address, "01")):
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.3)


def rest_of(connection: socket.socket) -> bytes:
    """What a server sends until it closes the connection."""
    return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.mark.parametrize(
    ("many", "number", "code"), [("1", signal.SIGTERM, 0), ("2", signal.SIGINT, 130)], indirect=["many"]
)
def test_it_stops_while_requests_are_incomplete(many: Site, number: int, code: int) -> None:
    """Also while Redis hangs. Requests that cannot be finished are answered with 503."""
    port = many.server.port
    slow = [socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECONDS) for _ in range(6)]
    for connection in slow[:3]:
        connection.sendall(many.head("POST", b"Content-Length: 12") + b"{")
    for connection in slow[3:]:
        connection.sendall(b"GET /")
    many.valkey.pause()
    try:
        waiting = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECONDS)
        waiting.sendall(many.head("GET"))
        wait_until_read(port)
        assert stop_in_time(many.server, number) == code
    finally:
        many.valkey.resume()
    for connection in (waiting, *slow[:3]):
        assert_refused(rest_of(connection), 503)
    for connection in (waiting, *slow):
        connection.close()
    assert_calm(many)


@pytest.mark.parametrize("many", [pytest.param("1", marks=pytest.mark.soak), "2"], indirect=True)
def test_it_stops_while_responses_are_not_read(many: Site) -> None:
    """The server does not queue more and more of their requests, either."""
    wanted = many.head("GET", path="/openapi.json") * 400
    before = many.server.rss()
    with ExitStack() as stack:
        for _ in range(4):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(("127.0.0.1", many.server.port))
            reader.setblocking(False)
            with pytest.raises(BlockingIOError):
                for _ in range(1_000):
                    reader.send(wanted)
        time.sleep(1)
        assert many.server.rss() - before < 60_000_000
        assert stop_in_time(many.server, signal.SIGTERM) == 0
    assert_calm(many)


@pytest.mark.parametrize("many", [pytest.param("1", marks=pytest.mark.soak), "2"], indirect=True)
def test_a_request_in_flight_finishes(many: Site) -> None:
    many.valkey.pause()
    connection = socket.create_connection(("127.0.0.1", many.server.port), timeout=LIMIT_SECONDS)
    connection.sendall(many.head("GET"))
    wait_until_read(many.server.port)
    threading.Timer(0.7, many.valkey.resume).start()
    assert stop_in_time(many.server, signal.SIGTERM) == 0
    [(status, _, body)] = responses(rest_of(connection))
    assert status == 200 and body["success"] is True
    connection.close()
    assert_calm(many)


def test_a_worker_and_the_parent_are_killed(valkey: ValkeyServer) -> None:
    with running_site(valkey, "--workers", "2") as site:
        server = site.server
        wait_for_workers(server, 2)
        first = serving_processes(server)
        os.kill(first[0], signal.SIGKILL)
        deadline = time.monotonic() + LIMIT_SECONDS
        while len(set(serving_processes(server)) - {first[0]}) < 2 and time.monotonic() < deadline:
            assert httpx.get(f"{server.url}/api/health", verify=NO_TLS, timeout=LIMIT_SECONDS).status_code == 200
        workers = serving_processes(server)
        assert len(workers) == 2 and first[0] not in workers
        time.sleep(1)
        server.signal(signal.SIGKILL)
        deadline = time.monotonic() + LIMIT_SECONDS
        while any(map(alive, workers)) and time.monotonic() < deadline:
            time.sleep(0.05)
        left = [pid for pid in workers if alive(pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert not left
        assert_calm(site)


def test_it_refuses_to_start(awictl: Cli, valkey: ValkeyServer, tmp_path: Path) -> None:
    ready = awictl.having(AWI_ARCHIVE_URL=f"sqlite:///{tmp_path}/archive.db")
    ready("serve", "--port", str(valkey.port)).logged_error(4, "cannot listen on 127.0.0.1", str(valkey.port))
    ready("serve", "--host", "nowhere.invalid", "--port", "0", "--behind-tls").logged_error(
        4, "cannot listen on nowhere.invalid"
    )
    ready.having(AWI_READ_ONLY="1")("serve", "--port", "0").logged_error(4, "AWI_READ_ONLY")
    awictl("serve", "--port", "0").logged_error(4, "no archive")
