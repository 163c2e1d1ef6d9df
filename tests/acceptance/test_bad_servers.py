"""Servers that are down, hang, refuse, or speak another protocol: exit code 4, 5 or 7, one line, a bounded wait."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme
from support.cli import Cli, unchanged
from support.documents import AGENT_ID, SESSION_ID, agent_key, compact, document, plain, put, stored
from support.proxy import Cut, Proxy
from support.valkey import ValkeyServer, free_port

#: Every command that talks to the server.
COMMANDS = [
    ["session", "create", "--agent", "a"],
    ["session", "list"],
    ["session", "list", "-o", "table"],
    ["session", "show", SESSION_ID],
    ["session", "show", SESSION_ID, "sess_other"],
    ["session", "apply", SESSION_ID, '{"n":1}'],
    ["session", "apply", SESSION_ID, '{"n":1}', "--op-id", "x"],
    ["session", "diff", SESSION_ID],
    ["session", "diff", SESSION_ID, "sess_other"],
    ["session", "history", SESSION_ID],
    ["session", "touch", SESSION_ID],
    ["agent", "session", "a"],
    ["health"],
]
#: A timeout in seconds that is not used, and far below it, the maximum duration of a command that uses another.
LONG_SECONDS, MOST_SECONDS = 60.0, 30.0
#: Runs awictl with a shorter time limit for retries of a write than the usual ten seconds.
SHORT_RETRIES = """
from awictl.__main__ import main
from awictl.sessions import update
update.RETRY_SECONDS = 0.5
main()
"""


def name(words: list[str]) -> str:
    return " ".join(words)


@pytest.mark.parametrize("words", COMMANDS, ids=name)
def test_an_unreachable_server(user: Cli, words: list[str]) -> None:
    port = free_port()
    dead = user.having(REDIS_HOST="127.0.0.1", REDIS_PORT=str(port))
    result = dead(*words)
    assert result.out == b""
    for line in result.err.splitlines():
        assert line.startswith("awictl: ") and f"127.0.0.1:{port}" in line and "refused" in line
    assert result.code == 5 and "Traceback" not in result.err
    if "sess_other" not in words or "show" not in words:
        result.error(5, "config show")


def connections_of(server: socket.socket) -> int:
    """Accept the connections to a server that were not accepted yet; return their number."""
    server.setblocking(False)
    count = 0
    with suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            count += 1
    return count


@pytest.mark.parametrize("words", COMMANDS[::2], ids=name)
def test_the_timeout_limits_the_wait_for_a_server_that_never_answers(
    waiting: Cli, silent_server: socket.socket, words: list[str]
) -> None:
    ids = words.count(SESSION_ID) + words.count("sess_other") if "show" in words else 1
    result = waiting.having(AWI_TIMEOUT=str(LONG_SECONDS))("--timeout", "0.5", *words)
    assert result.code == 5 and result.out == b""
    for line in result.err.splitlines():
        assert line.startswith("awictl: ") and "no answer in time" in line, result
    assert result.seconds < MOST_SECONDS
    assert 1 <= connections_of(silent_server) <= 2 * ids, "it waits for one timeout each, and may connect a second time"


def test_the_timeout_is_configurable(waiting: Cli) -> None:
    (waiting.home / ".env").write_text(f"AWI_TIMEOUT={LONG_SECONDS}\n")
    result = waiting.having(AWI_TIMEOUT="0.2")("health")
    result.error(5)
    assert result.seconds < MOST_SECONDS


def test_addresses_without_a_server(user: Cli) -> None:
    user("--redis", "redis://host.invalid", "health").error(5, "host.invalid")
    user("--redis", f"unix://{user.home}/no.sock", "health").error(5, "no.sock", "No such file")
    (user.home / "file.sock").write_text("")
    user("--redis", f"unix://{user.home}/file.sock", "health").error(5, "file.sock")


class OtherServer:
    """A server of another protocol: sends a greeting, answers whatever it receives, and closes the connection."""

    def __init__(self, listener: socket.socket, greeting: bytes, reply: bytes) -> None:
        self._listener, self._greeting, self._reply = listener, greeting, reply
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.sendall(self._greeting)
                connection.recv(4096)
                connection.sendall(self._reply)


@pytest.mark.parametrize(
    ("greeting", "reply", "fragment"),
    [
        (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", '"H"'),
        (b"", b"<!DOCTYPE HTML>\r\n", '"<"'),
        (b"220 mail.example.com ESMTP\r\n", b"500 what?\r\n", '"2"'),
        (b"SSH-2.0-OpenSSH_9.2\r\n", b"", '"S"'),
        (b"", b"\x15\x03\x01\x00\x02\x02\x50", "TLS"),
        (b"", b"$-5\r\n", "not a Redis server"),
    ],
    ids=["http", "html", "smtp", "ssh", "tls", "almost"],
)
@pytest.mark.parametrize(
    "words", [["session", "list"], ["health"], ["session", "apply", SESSION_ID, "{}"], ["monitor", "-q"]]
)
def test_a_server_of_another_protocol_is_not_worth_a_retry(
    waiting: Cli, silent_server: socket.socket, words: list[str], greeting: bytes, reply: bytes, fragment: str
) -> None:
    OtherServer(silent_server, greeting, reply)
    for user in (waiting, waiting.having(REDIS_PASSWORD="secret", REDIS_DB="1")):
        line = user("--timeout", "2", *words).error(4, "127.0.0.1", "is not a Redis server", "config show", fragment)
        assert "secret" not in line
    silent_server.shutdown(socket.SHUT_RDWR)


def test_a_server_that_greets_almost_like_redis(waiting: Cli, silent_server: socket.socket) -> None:
    """The greeting of POP3 is a valid reply, but none to a PING."""
    OtherServer(silent_server, b"+OK POP3 server ready\r\n", b"-ERR unknown command\r\n" * 3)
    waiting("--timeout", "2", "health").error(4, "is not a Redis server", "POP3")
    silent_server.shutdown(socket.SHUT_RDWR)


def test_a_server_that_closes_the_connection_may_be_restarting(waiting: Cli, silent_server: socket.socket) -> None:
    OtherServer(silent_server, b"", b"")
    for words in (["session", "list"], ["health"]):
        waiting("--timeout", "2", *words).error(5, "127.0.0.1")
    silent_server.shutdown(socket.SHUT_RDWR)


def test_a_real_web_server(user: Cli) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), SilentHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            url = f"redis://127.0.0.1:{server.server_port}"
            user("--redis", url, "session", "list").error(4, url, "is not a Redis server")
        finally:
            server.shutdown()


class SilentHandler(BaseHTTPRequestHandler):
    """Answers as usual, and logs nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def test_a_server_that_expects_tls(user: Cli, tmp_path: Path) -> None:
    """OpenSSL answers what is no TLS with an alert, or closes the connection; the message names TLS for both."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    context.wrap_socket(connection, server_side=True).close()

        threading.Thread(target=serve, daemon=True).start()
        result = user("--redis", f"redis://127.0.0.1:{listener.getsockname()[1]}", "--timeout", "5", "session", "list")
        result.error(result.code, "TLS", "rediss://")
        assert result.code in (4, 5)
        listener.shutdown(socket.SHUT_RDWR)


def test_a_server_without_tls(user: Cli, valkey: ValkeyServer) -> None:
    url = f"rediss://127.0.0.1:{valkey.port}"
    user("--redis", url, "--timeout", "1", "health").error(5, url)


def test_a_wrong_password(user: Cli, new_valkey: Callable[..., ValkeyServer]) -> None:
    server = new_valkey()
    put(server, compact(document([0])))
    server.raw.config_set("requirepass", "right")
    there = user.having(REDIS_HOST="127.0.0.1", REDIS_PORT=str(server.port))
    with unchanged(server):
        for words in COMMANDS[::3]:
            result = there.having(REDIS_PASSWORD="wrong")(*words)
            assert result.code == 4 and result.out == b"", result
            for line in result.err.splitlines():
                assert line.startswith("awictl: ") and "REDIS_PASSWORD" in line, result
        there("session", "list").error(4, "REDIS_PASSWORD")
    assert there.having(REDIS_PASSWORD="right").ok("session", "list", "-o", "ids").lines == [SESSION_ID]


def test_a_database_that_does_not_exist(user: Cli, valkey: ValkeyServer) -> None:
    user("--redis", f"redis://127.0.0.1:{valkey.port}/999", "session", "list").error(4, "999")


def test_a_server_without_its_replicas_refuses_to_write(awictl: Cli, new_valkey: Callable[..., ValkeyServer]) -> None:
    server = new_valkey()
    put(server, compact(document([0])))
    server.raw.config_set("min-replicas-to-write", "3")
    there = awictl.having(REDIS_PORT=str(server.port))
    with unchanged(server):
        there("session", "apply", SESSION_ID, "{}").error(4)
        there("session", "create", "--agent", "a").error(4)
        there("session", "touch", SESSION_ID).error(4)
        there.ok("session", "show", SESSION_ID)


def test_a_server_out_of_memory_refuses_to_write(awictl: Cli, new_valkey: Callable[..., ValkeyServer]) -> None:
    server = new_valkey()
    put(server, compact(document([0])))
    there = awictl.having(REDIS_PORT=str(server.port))
    server.raw.config_set("maxmemory", "1")
    with unchanged(server):
        there("session", "apply", SESSION_ID, "{}").error(4, "memory")
        there("session", "create", "--agent", "a").error(4, "memory")
        there.ok("session", "show", SESSION_ID)


async def test_an_update_with_an_unknown_outcome_can_be_repeated(user: Cli, valkey: ValkeyServer, proxy: Proxy) -> None:
    """The reply to the write is lost, and then the server is unreachable."""
    put(valkey, compact(document([0])))
    through = user.having(REDIS_HOST="127.0.0.1", REDIS_PORT=str(proxy.port))
    await asyncio.to_thread(through.ok, "session", "apply", SESSION_ID, '{"n":0}')

    def cut(request: bytes) -> Cut | None:
        if b"only-once" in request or proxy.all_cuts:
            return Cut.REQUEST if proxy.all_cuts else Cut.REPLY
        return None

    proxy.rule = cut
    words = ("session", "apply", SESSION_ID, '{"n":1}', "--op-id", "only-once")
    result = await asyncio.to_thread(through.python, "-c", SHORT_RETRIES, *words)
    result.error(7, "only-once", "unknown")
    assert proxy.cuts[Cut.REPLY] == 1 and result.out == b""
    with unchanged(valkey):
        repeated = await asyncio.to_thread(user.having(REDIS_HOST="127.0.0.1", REDIS_PORT=str(valkey.port)), *words)
    assert repeated.code == 0 and repeated.json["n"] == 1
    assert [one.get("op_id") for one in plain(stored(valkey))["history"]["actions"]].count("only-once") == 1


@pytest.mark.parametrize("words", [["session", "show", SESSION_ID], ["agent", "session", AGENT_ID]], ids=name)
def test_a_user_without_permission_for_ttls(
    user: Cli, new_valkey: Callable[..., ValkeyServer], words: list[str]
) -> None:
    server = new_valkey("--user", "watcher", "on", ">word", "~*", "+@all", "-pttl")
    put(server, compact(document([0])))
    server.raw.set(agent_key(), SESSION_ID)
    limited = user.having(REDIS_SOCKET=str(server.socket), REDIS_USERNAME="watcher", REDIS_PASSWORD="word")
    limited(*words).error(4, "no permission", "pttl")
