"""`awictl ui`: what it prints, where it listens, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from support.cli import LIMIT_SECONDS, Cli
from support.inspector import inspecting
from support.mongo import MongoServer
from support.terminal import CTRL_C, on_terminal
from support.waiting import eventually

LINK = re.compile(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}")


def test_in_a_pipe_it_prints_a_link_as_json_and_ends_at_sigterm(awictl: Cli) -> None:
    with inspecting(awictl) as inspector:
        assert LINK.fullmatch(json.loads(inspector.printed.splitlines()[0])["url"])
        with inspector.client() as client:
            about = client.get("/api/about").json()
        assert about["redis"] == f"redis://127.0.0.1:{awictl.env['REDIS_PORT']}/0"
        assert (about["profile"], about["archive"], about["redaction"]) == (None, None, None)
        # the link is used up, so there is another one
        eventually(lambda: len(LINK.findall(inspector.printed)) == 2)
        assert len(set(LINK.findall(inspector.printed))) == 2
        with inspector.client(signed_in=False) as client:  # the limits of the agents' server apply
            assert client.get("/", headers={"x": "x" * 40_000}).status_code == 431
        assert inspector.stop() == 0


def test_on_a_terminal_it_prints_the_link_and_ends_at_ctrl_c(awictl: Cli) -> None:
    with on_terminal(awictl, "ui", columns=60) as terminal:
        screen = terminal.until("Ctrl-C stops")
        assert LINK.search(screen.replace("\n", ""))
        terminal.press(CTRL_C)
        assert terminal.end() == 130


def test_ctrl_c_ends_streams_and_the_inspector(awictl: Cli) -> None:
    with inspecting(awictl) as inspector, inspector.client() as client:
        with client.stream("GET", "/api/sessions/events") as response:
            lines = response.iter_lines()
            assert next(lines) == ":"  # it is open, although nothing has been read yet
            assert any(one.startswith("event: ") for one in lines)
            inspector.signal(signal.SIGINT)
            for _ in lines:  # the stream ends, it is not cut: that would be an error
                pass
        assert inspector.wait() == 130


def test_ctrl_c_ends_requests_that_wait_for_redis(user: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor() as pool:
        silent.settimeout(LIMIT_SECONDS)
        hanging = user.having(REDIS_HOST="127.0.0.1", REDIS_PORT=str(silent.getsockname()[1]))
        with inspecting(hanging) as inspector, inspector.client() as client:
            waiting = pool.submit(client.get, "/api/sessions/sess_a")
            connection, _ = silent.accept()
            with connection:
                inspector.signal(signal.SIGINT)
                assert inspector.wait() == 130
            assert waiting.result().is_server_error
            assert len(inspector.printed.splitlines()) == 4, inspector.printed  # links and notices, and that it ends


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.com"])  # noqa: S104
def test_other_machines_may_connect_only_if_that_was_said(user: Cli, host: str) -> None:
    user("ui", "--host", host).error(4, "--behind-tls", "--insecure", host)


def test_without_tls_it_warns(awictl: Cli) -> None:
    with inspecting(awictl, "--host", "0.0.0.0", "--insecure") as inspector:  # noqa: S104
        eventually(lambda: "without TLS" in inspector.printed)


def test_behind_a_proxy_the_name_of_the_page_is_allowed(awictl: Cli) -> None:
    options = ["--host", "0.0.0.0", "--behind-tls", "--allow-host", "inspector.example.com"]  # noqa: S104
    with inspecting(awictl, *options) as inspector, inspector.client(signed_in=False) as client:
        named = {"host": "inspector.example.com", "origin": "https://inspector.example.com"}
        assert client.get("/", headers={"host": "other.example.com"}).status_code == 421
        response = client.get(inspector.link.replace("0.0.0.0", "127.0.0.1"), headers=named)  # noqa: S104
        assert response.headers["set-cookie"].endswith("; Secure")
        cookie = response.headers["set-cookie"].partition(";")[0]
        assert client.get("/api/about", headers={**named, "cookie": cookie}).status_code == 200
        assert "without TLS" not in inspector.printed


def test_a_port_that_is_in_use_is_refused(awictl: Cli) -> None:
    with inspecting(awictl) as inspector:
        awictl("ui", "--port", str(inspector.port)).error(4, "cannot listen", str(inspector.port))


def test_unknown_kinds_of_secrets_are_refused(user: Cli) -> None:
    user("ui", "--redact", "nonsense").error(2, "nonsense")


def test_it_starts_while_redis_and_the_archive_are_away(user: Cli, mongo: MongoServer) -> None:
    away = user.having(REDIS_HOST="127.0.0.1", REDIS_PORT="1", MONGODB_URI="mongodb://127.0.0.1:1/x")
    with inspecting(away) as inspector, inspector.client() as client:
        assert client.get("/").status_code == 200
        unknown = client.get("/nothing")  # the page says so
        assert (unknown.status_code, unknown.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert client.get("/api/about").json()["redis"] == "redis://127.0.0.1:1/0"


def test_open_starts_the_browser_with_a_link(awictl: Cli) -> None:
    log = awictl.home / "opened"
    browser = awictl.home / "browser"
    browser.write_text(f'#!{sys.executable}\nimport sys; open("{log}", "w").write(sys.argv[1])\n')
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    with inspecting(awictl.having(BROWSER=f"{browser} %s"), "--open") as inspector:
        eventually(lambda: log.exists() and log.read_text() == inspector.link)


def test_without_the_packages_of_the_server_it_names_the_extra(user: Cli, tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError\n")
    lacking = user.having(PYTHONPATH=os.pathsep.join([str(tmp_path), user.env.get("PYTHONPATH", "")]))
    replace(lacking, fresh=True)("ui").error(2, "awictl[ui]")
