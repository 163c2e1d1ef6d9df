"""`awictl monitor` on a real server, with clients that run commands meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError
from support.cli import LIMIT_SECONDS, Cli
from support.documents import SESSION_ID, agent_key, compact, diff_key, document, put, session_key
from support.terminal import CTRL_C, on_terminal
from support.valkey import ValkeyServer

OTHER_ID = "sess_other"


class Watching:
    """A running `awictl monitor`."""

    def __init__(self, process: subprocess.Popen[bytes], server: ValkeyServer) -> None:
        self.process = process
        self._server = server

    def lines(self) -> list[str]:
        """What it has printed of all commands until now; then it is interrupted."""
        self._server.raw.swapdb(14, 15)  # affects all keys, so that it is always shown
        assert self.process.stdout is not None
        lines: list[str] = []
        while "SWAPDB" not in (line := self.process.stdout.readline().decode()):
            assert line, self.done()
            lines.append(line)
        self.process.send_signal(signal.SIGINT)
        assert self.done()[0] == 130
        return lines

    def rows(self) -> list[dict[str, Any]]:
        """The same as JSON."""
        return [json.loads(line) for line in self.lines()]

    def done(self) -> tuple[int, str]:
        """Exit code, and what stderr says, when it has ended."""
        _, err = self.process.communicate(timeout=LIMIT_SECONDS)
        return self.process.returncode, err.decode()


def listening(server: ValkeyServer) -> bool:
    """Whether a client of the server runs MONITOR."""
    return any("O" in one["flags"] for one in server.raw.client_list())


@contextmanager
def monitor(user: Cli, server: ValkeyServer, *words: str) -> Iterator[Watching]:
    """Run `awictl monitor WORDS`; yields when MONITOR is active."""
    process = subprocess.Popen(
        [sys.executable, "-m", "awictl", "monitor", *words],
        cwd=user.home,
        env=user.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        while not listening(server):
            assert process.poll() is None, process.communicate()
        yield Watching(process, server)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def test_commands_of_the_app_and_of_awictl_are_shown(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(document([0])))
    with monitor(awictl, valkey, "--seconds", "60") as watching:
        valkey.raw.execute_command("SETEX", session_key(), 1800, '{"a":"\\"\n\x00é文"}')
        valkey.raw.set("nothing:of:awi", "x")
        valkey.raw.get(agent_key())
        valkey.raw.set("LOCK:SESSION:sess_x", "1", nx=True, ex=30)
        awictl.ok("session", "create", "--agent", "a", "--name", "A")
        valkey.raw.keys("*")
        rows = watching.rows()
    first, second, lock = rows[:3]
    assert {name: first[name] for name in ("db", "command", "script", "kind", "id", "keys", "arguments")} == {
        "db": 0,
        "command": "SETEX",
        "script": None,
        "kind": "session",
        "id": SESSION_ID,
        "keys": [session_key()],
        "arguments": ["1800", '{"a":"\\"\n\x00é文"}'],
    }
    assert first["client"].startswith(("unix:", "127.0.0.1:")) and first["at"].endswith("Z")
    assert (second["command"], second["kind"], lock["kind"], lock["id"]) == ("GET", "agent", "lock", "sess_x")
    created = [row for row in rows if row["script"] == "create"]
    assert created and [one["kind"] for one in created] == ["session"] * len(created)
    assert any(row["client"] == "lua" and row["command"] == "SET" for row in rows)
    assert rows[-1]["command"] == "KEYS" and rows[-1]["keys"] == ["*"]
    assert not any("nothing:of:awi" in row["keys"] for row in rows)


def test_it_stops_after_the_given_time(awictl: Cli, valkey: ValkeyServer) -> None:
    done = awictl.ok("monitor", "--seconds", "0.5")
    assert "down for 500ms" in done.err and " received, 0 shown\n" in done.err and done.seconds >= 0.5
    assert awictl.ok("monitor", "--seconds", "0.1", "-q").err == ""


def test_filters_by_session_and_kind(awictl: Cli, valkey: ValkeyServer) -> None:
    def work() -> None:
        for key in (session_key(), session_key(OTHER_ID), diff_key(), "AWI:CACHE:LIST:x"):
            valkey.raw.set(key, "{}", ex=100)
        valkey.raw.set(agent_key(), SESSION_ID, ex=100)
        valkey.raw.flushdb()

    with monitor(awictl, valkey, "--seconds", "60", "--session", SESSION_ID) as watching:
        work()
        rows = watching.rows()
    assert [row["kind"] for row in rows] == ["session", "diff", "agent", "other"]
    assert rows[-1]["command"] == "FLUSHDB" and rows[-1]["keys"] == [] and rows[-1]["id"] is None

    with monitor(awictl, valkey, "--seconds", "60", "--kind", "cache", "--kind", "diff") as watching:
        work()
        rows = watching.rows()
    assert [row["kind"] for row in rows] == ["diff", "cache", "other"]


def test_long_arguments_are_truncated_without_full(awictl: Cli, valkey: ValkeyServer) -> None:
    text = "x" * 100_000
    for words, length in ([], 60 + len("… (100,000 bytes)")), (["--full"], 100_000):
        with monitor(awictl, valkey, "--seconds", "60", *words) as watching:
            valkey.raw.set(session_key(), text, ex=9)
            [row] = watching.rows()
        assert len(row["arguments"][0]) == length


def test_lines_of_text_are_escaped(awictl: Cli, valkey: ValkeyServer) -> None:
    with monitor(awictl, valkey, "--seconds", "60", "-o", "table") as watching:
        valkey.raw.set("AWI:SESSION:\x1b[2J\u202e", b"\x1b]0;x\x07", ex=9)
        [line] = watching.lines()
    assert "\x1b" not in line and "\u202e" not in line and "SET  session \\x1b[2J" in line


def test_passwords_are_not_printed(awictl: Cli, valkey: ValkeyServer) -> None:
    with monitor(awictl, valkey, "--seconds", "60", "--full") as watching:
        valkey.raw.execute_command("ACL", "SETUSER", "AWI:SESSION:x", "on", ">AWI:SESSION:secret")
        with (
            Redis(port=valkey.port, username="AWI:SESSION:x", password="AWI:SESSION:secret") as other,
            pytest.raises(NoPermissionError),
        ):
            other.get("x")
        valkey.raw.execute_command("ACL", "DELUSER", "AWI:SESSION:x")
        assert watching.lines() == []


def test_monitor_without_permission(user: Cli, new_valkey: Callable[..., ValkeyServer]) -> None:
    server = new_valkey("--user", "watcher", "on", ">word", "~*", "+@all", "-monitor")
    limited = user.having(REDIS_SOCKET=str(server.socket), REDIS_USERNAME="watcher", REDIS_PASSWORD="word")
    limited("monitor", "-q").error(4, "no permission", "monitor")


def test_an_invalid_session_id_is_refused_before_connecting(awictl: Cli) -> None:
    awictl("monitor", "--session", "x").error(2, "not a session id")
    awictl("monitor", "--seconds", "0").error(2, "seconds")
    awictl("monitor", "--kind", "cat").error(2, "kind")


def test_it_ends_when_the_server_dies(user: Cli, new_valkey: Callable[..., ValkeyServer]) -> None:
    server = new_valkey()
    with monitor(user.having(REDIS_SOCKET=str(server.socket)), server, "--seconds", "30") as watching:
        server.kill()
        code, err = watching.done()
    assert code == 5 and "closed the connection" in err and len(err.splitlines()) == 2


def test_ctrl_c_and_a_closed_pipe_end_it(awictl: Cli, valkey: ValkeyServer) -> None:
    with monitor(awictl, valkey, "--seconds", "30") as watching:
        os.kill(watching.process.pid, signal.SIGINT)
        assert watching.done()[0] == 130
    with monitor(awictl, valkey, "--seconds", "30") as watching:
        assert watching.process.stdout is not None
        watching.process.stdout.close()
        valkey.raw.get(session_key())
        assert watching.process.wait(LIMIT_SECONDS) == 141
    deadline = time.monotonic() + LIMIT_SECONDS
    while listening(valkey):
        assert time.monotonic() < deadline, "MONITOR must end on the server"


@pytest.mark.parametrize("columns", [80, 200])
def test_lines_on_a_terminal(awictl: Cli, valkey: ValkeyServer, columns: int) -> None:
    colourful = awictl.having(COLORTERM="truecolor")
    with on_terminal(colourful, "monitor", "--seconds", "30", columns=columns) as terminal:
        terminal.until("MONITOR slows")
        while not listening(valkey):
            assert terminal.process.isalive()
        valkey.raw.set("AWI:SESSION:sess_文字", "\x1b[2J🙂", ex=9)
        terminal.until("EX  9", lambda text: "SET  session sess_文字" in text.replace("\n", ""))
        terminal.press(CTRL_C)
        assert terminal.end() == 130
    assert b"\x1b" not in terminal.sent and terminal.sent.endswith(b"awictl: interrupted\r\n")


def test_it_ends_if_it_cannot_keep_up(awictl: Cli, valkey: ValkeyServer) -> None:
    """The process is suspended; the output buffer of the server must not grow without bounds."""
    with monitor(awictl, valkey, "--seconds", "30") as watching:
        valkey.raw.get(session_key())
        assert watching.process.stdout is not None and watching.process.stdout.readline()
        os.kill(watching.process.pid, signal.SIGSTOP)
        with valkey.raw.pipeline(transaction=False) as pipe:
            for _ in range(2_000):
                pipe.get(session_key())
            pipe.execute()
        with pytest.raises(subprocess.TimeoutExpired):
            watching.process.wait(3)
        os.kill(watching.process.pid, signal.SIGCONT)
        code, err = watching.done()
    assert code == 4 and "more commands than can be read" in err
