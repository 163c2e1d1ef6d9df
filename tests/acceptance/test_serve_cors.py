"""`awictl serve --cors` and AWI_SERVE_CORS."""

from __future__ import annotations

import json

import httpx
import pytest
from support.cli import LIMIT_SECONDS, Cli
from support.serving import NO_TLS, serving
from test_serve_hostile import sent_back

STATE = "/api/agent/session/state"
ASKED = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
LISTED = ["https://a.example", "http://localhost:3000"]


def allowed(url: str, *origins: str) -> list[str]:
    """Those of the origins that may call the API at a URL, by a preflight request and by the request itself."""
    found = []
    with httpx.Client(base_url=url, verify=NO_TLS, timeout=LIMIT_SECONDS) as client:
        for origin in origins:
            headers = {"Origin": origin, **ASKED}
            answers = [client.options(STATE, headers=headers), client.get(STATE, headers=headers)]
            granted = {answer.headers.get("access-control-allow-origin") for answer in answers}
            assert granted in ({origin}, {"*"}, {None})
            found += [origin] if granted != {None} else []
    return found


@pytest.mark.parametrize("source", ["option", "environment", "profile", "both"])
def test_the_origins(awictl: Cli, source: str) -> None:
    user = awictl.having(AWI_ARCHIVE_URL=f"sqlite:///{awictl.home}/archive.db")
    options = ["--cors", "HTTPS://a.example:443", "--cors", "http://localhost:3000"]
    profile: tuple[str, ...] = ()
    if source == "profile":
        user.configure("[profiles.web]\nawi_serve_cors = ['https://a.example', 'http://localhost:3000']\n")
        options, profile = [], ("--profile", "web")
    elif source == "environment":
        options, user = (
            [],
            user.having(AWI_SERVE_CORS=" https://a.example , http://localhost:3000"),
        )
    elif source == "both":
        user = user.having(AWI_SERVE_CORS="https://other.example")
    with serving(user, *options, profile=profile) as server:
        assert allowed(server.url, *LISTED, "https://other.example", "null") == LISTED
        head = f"GET {STATE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: ".encode()
        for origin, status in ((b"x" * 30_000, b"401"), (b"x" * 40_000, b"431"), (b"https://a.example\rX: y", b"400")):
            said = sent_back(server.port, head + origin + b"\r\n\r\n")
            assert said.startswith(b"HTTP/1.1 " + status) and b"access-control-allow-origin" not in said
        said = sent_back(server.port, head + b"https://a.example\r\nX: y\r\n\r\n")
        assert b"\r\naccess-control-allow-origin: https://a.example\r\n" in said and b"X: y" not in said


def test_invalid_origins(awictl: Cli) -> None:
    for wrong in ("a.example", "https://a.example/path", "null", "https://a.example\r\nX: y"):
        awictl("serve", "--cors", wrong).error(2, "--cors", "is not an origin such as https://example.com, or *")
    failed = awictl.having(AWI_SERVE_CORS="a.example")("serve")
    message = json.loads(failed.err)["message"]
    assert failed.code == 2 and message.startswith("AWI_SERVE_CORS (environment): 'a.example' is not an origin")
