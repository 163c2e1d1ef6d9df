"""Who may see the inspector, over real HTTP: without the cookie, from elsewhere, or with a method that writes, nobody.

What is refused is decided by `awictl/ui/http/access.py`; here, every path of the running program is tried.
"""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import LIMIT_SECONDS, Cli
from support.documents import APP_FILES, put
from support.inspector import Inspector, inspecting
from support.ui_paths import paths, static_files
from support.valkey import ValkeyServer

METHODS = ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "FOO"]
#: What no response may lack, whoever gets it.
REQUIRED = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
PAGE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
SCRIPT = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}


class Answer:
    """A response: its status, its headers and its body, of which a stream has no end."""

    def __init__(self, inspector: Inspector, method: str, path: str, headers: dict[str, str] | None = None) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", inspector.port, timeout=LIMIT_SECONDS)
        try:
            # http.client sends the path as it is
            connection.putrequest(method, path, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            connection.endheaders()
            response = connection.getresponse()
            self.status = response.status
            self.headers = {name.lower(): value for name, value in response.getheaders()}
            streams = self.headers.get("content-type", "").startswith("text/event-stream")
            self.body = response.read1(65_536) if streams else response.read()
        finally:
            connection.close()


@pytest.fixture
def inspector(mongo_user: Cli, valkey: ValkeyServer) -> Iterator[Inspector]:
    """An inspector of a profile that may write, with one session."""
    put(valkey, APP_FILES[2].read_bytes(), "sess_x")
    with inspecting(mongo_user) as running:
        yield running


def cookie_of(inspector: Inspector) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in inspector.cookies.items())}


def test_who_has_access(inspector: Inspector) -> None:
    everything = [*paths("sess_x"), *static_files(), "/nothing", "/api/nothing"]
    assert {"/", "/sessions", "/api/about", "/static/app.js"} <= set(everything)

    # without the cookie, or with a wrong one: nothing, not even which paths exist
    refused = {Answer(inspector, "GET", path).body for path in everything}
    assert len(refused) == 1
    name = next(iter(inspector.cookies))
    for cookie in ("", f"{name}=", f"{name}=x", f"{name}=é".encode().decode("latin-1"), "x" * 3000, '"', f"{name}"):
        for path in ("/", "/api/about", "/static/app.js"):
            assert Answer(inspector, "GET", path, {"Cookie": cookie}).status == 401, (cookie, path)

    signed_in = cookie_of(inspector)
    for path in everything:
        answers = [Answer(inspector, "GET", path), Answer(inspector, "HEAD", path)]
        assert [one.status for one in answers] == [401, 401], path
        assert answers[1].body == b""

        answers += [Answer(inspector, method, path, signed_in) for method in METHODS]
        assert {one.status for one in answers[2:]} <= {405, 400}, path

        # the names of other hosts, and pages of other origins
        for header, status in (
            ({"Host": f"evil.test:{inspector.port}"}, 421),
            ({"Origin": "http://evil.test"}, 403),
            ({"Origin": "null"}, 403),
            ({"Sec-Fetch-Site": "cross-site"} | SCRIPT, 403),
            ({"Sec-Fetch-Site": "same-site"} | SCRIPT, 403),
            ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403),
            ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}, 403),
        ):
            answers.append(Answer(inspector, "GET", path, signed_in | header))
            assert answers[-1].status == status, (path, header)
            assert b"sess_x" not in answers[-1].body

        for one in answers:
            assert REQUIRED.items() <= one.headers.items() or one.status == 400, (path, one.headers)
            assert "access-control-allow-origin" not in one.headers

    # a person's link from elsewhere, and the page's own requests, may pass
    assert Answer(inspector, "GET", "/sessions", signed_in | {"Sec-Fetch-Site": "cross-site"} | PAGE).status == 200
    assert Answer(inspector, "GET", "/api/about", signed_in | {"Sec-Fetch-Site": "same-origin"} | SCRIPT).status == 200
    assert Answer(inspector, "GET", "/api/about", signed_in | {"Origin": inspector.url}).status == 200


def test_names_of_the_host(inspector: Inspector) -> None:
    port, signed_in = inspector.port, cookie_of(inspector)
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
        assert Answer(inspector, "GET", "/api/about", signed_in | {"Host": host}).status == 200, host
    for host in (
        "127.0.0.1",
        "localhost",
        f"127.0.0.1:{port + 1}",
        f"127.0.0.1.evil.test:{port}",
        f"evil.test:{port}",
        f"localhost.:{port}",
        f"127.0.0.1:{port}@evil.test",
        f"evil.test@127.0.0.1:{port}",
        f"127.0.0.1:{port}/x",
        "[::1",
        "",
    ):
        assert Answer(inspector, "GET", "/api/about", signed_in | {"Host": host}).status in (400, 421), host
    # none, or two of them
    for lines in ("", f"Host: 127.0.0.1:{port}\r\nHost: evil.test\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECONDS) as connection:
            cookie = f"Cookie: {signed_in['Cookie']}\r\nConnection: close\r\n"
            connection.sendall(f"GET /api/about HTTP/1.1\r\n{lines}{cookie}\r\n".encode())
            reply = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert re.match(rb"HTTP/1.1 4\d\d ", reply), reply


def test_a_link_works_once(inspector: Inspector) -> None:
    path = inspector.link.removeprefix(inspector.url)
    for altered in (path[:-1], f"{path}x", re.sub("=.*", "=", path)):
        assert Answer(inspector, "GET", altered).status == 401
    assert Answer(inspector, "HEAD", path).status == 401  # a preview of the link does not use it
    assert Answer(inspector, "GET", path, {"Host": "evil.test"}).status == 421
    first = Answer(inspector, "GET", path)
    cookie = first.headers["set-cookie"]
    assert first.status < 400
    assert "httponly" in cookie.lower() and "samesite=strict" in cookie.lower() and "domain" not in cookie.lower()
    value = cookie.split(";")[0]
    assert Answer(inspector, "GET", "/api/about", {"Cookie": value}).status == 200
    again = Answer(inspector, "GET", path)
    assert again.status == 401 and "set-cookie" not in again.headers
    assert path.split("=")[1] not in value


def test_static_files_are_all_that_is_read_from_disk(inspector: Inspector, mongo_user: Cli) -> None:
    signed_in = cookie_of(inspector)
    secret = Path(mongo_user.home) / "secret"
    secret.write_text("not for the page")
    for path in static_files():
        assert Answer(inspector, "GET", path, signed_in).status == 200, path
    up = "../" * 12
    for path in (
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/..%5capp.py",
        "/static/pages/../../app.py",
        f"/static/{up}etc/passwd",
        f"/static/{up.replace('../', '%2e%2e%2f')}etc/passwd",
        "/static//etc/passwd",
        "/static/%2fetc/passwd",
        f"/static/{secret}",
        "/static/%00",
        "/static/app.js%00.css",
        "/static/",
        "/static",
        "/static/pages/",
        "/static/" + "x" * 4000,
        "/static/" + "a/" * 2000,
    ):
        answer = Answer(inspector, "GET", path, signed_in)
        assert answer.status in (400, 404, 307), (path, answer.status, answer.body[:200])
        assert b"root:" not in answer.body and b"import" not in answer.body and b"not for" not in answer.body
