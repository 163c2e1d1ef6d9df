"""Who may see the inspector: everything here is decided before a request reaches a handler.

- Only GET and HEAD exist.
- The `Host` header must name this server. Otherwise a page of another site, whose name was made to resolve to this
  address (DNS rebinding), could read what is served here.
- A request that a page of another origin makes is refused.
- A link with a token, which works once, is exchanged for a cookie that no script can read and that no other site can
  make the browser send.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Callable, Iterable
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Name of the parameter of a link that has the token.
TOKEN = "token"  # noqa: S105  # a name
#: Maximum number of browsers that may be logged in; the oldest is logged out by one more.
MAX_BROWSERS = 100

#: Maximum number of cookies of the same name that are looked at.
_MAX_COOKIES = 8

#: Pages load nothing from elsewhere, run no inline code, and never turn text into markup (Trusted Types).
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}

# the cookie is not sent with a request that a link on another site began: so the page itself goes on, not a redirect
_LOGGED_IN = '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/">' + (
    '<title>awictl</title><p><a href="/">Open the inspector</a></html>'
)
_NO_ACCESS = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>awictl: no access</title><h1>No access</h1>'
    "<p>Open the link that <code>awictl ui</code> printed last. Each link works once, in one browser.</html>"
)


class LoginLinks:
    """The tokens that links may contain, and the cookies of the browsers that used one."""

    def __init__(self, on_use: Callable[[], None] = lambda: None) -> None:
        """`on_use`: called when a token was used."""
        self._on_use = on_use
        self._tokens: set[str] = set()
        self._browsers: list[str] = []

    def new_token(self) -> str:
        """Return a new token, which can be used once."""
        token = secrets.token_urlsafe(32)
        self._tokens.add(token)
        return token

    def exchange(self, token: str) -> str | None:
        """Return the value of a new cookie, and use up the token; None if it is unknown, or was used before."""
        if not _contains(self._tokens, token):
            return None
        self._tokens.discard(token)
        cookie = secrets.token_urlsafe(32)
        self._browsers = [*self._browsers, cookie][-MAX_BROWSERS:]
        self._on_use()
        return cookie

    def accepts(self, cookie: str) -> bool:
        """Whether a browser with this cookie is logged in."""
        return _contains(self._browsers, cookie)


def _contains(known: Iterable[str], given: str) -> bool:
    """Compare with all, in a time that does not depend on what is equal."""
    wanted = given.encode("utf-8", "surrogatepass")
    return sum(secrets.compare_digest(one.encode(), wanted) for one in known) > 0


class HostNames:
    """The values of the `Host` header that name this server."""

    def __init__(self, host: str, port: int, *, wide: bool, allowed: Iterable[str] = ()) -> None:
        """`wide`: whether other machines can connect; they may use any address, which no name can be made to be."""
        self._port = port
        self._wide = wide
        own = ["localhost", host.strip("[]").lower(), "127.0.0.1", "::1"]
        self._names = {*own, *([socket.gethostname().lower()] if wide else [])}
        self._allowed = {one.lower() for one in allowed}

    def accept(self, header: str) -> bool:
        """Whether a `Host` header is one of them."""
        try:
            parts = urlsplit(f"//{header.lower()}")
            name, port = parts.hostname, parts.port
        except ValueError:
            return False
        if name is None or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
            return False
        if header.lower() in self._allowed or name in self._allowed:
            return True
        return (port or 80) == self._port and (name in self._names or (self._wide and _is_address(name)))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class AccessControl:
    """Middleware that refuses what is not allowed, and adds the security headers to every response."""

    def __init__(self, app: ASGIApp, links: LoginLinks, hosts: HostNames, port: int, *, secure: bool = False) -> None:
        """`secure`: the cookie is only for HTTPS. `port`: in its name, since cookies do not know ports."""
        self._app = app
        self._links = links
        self._hosts = hosts
        self._cookie = f"awictl_ui_{port}"
        self._attributes = "; Path=/; HttpOnly; SameSite=Strict" + ("; Secure" if secure else "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        answer = self._answer(scope)
        await (self._app if answer is None else answer)(scope, receive, send_with_headers)

    def _answer(self, scope: Scope) -> Response | None:
        """What is answered instead of the page; None if the request may pass."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("The inspector only reads.\n", 405, {"allow": "GET, HEAD", "connection": "close"})
        if len(headers.getlist("host")) != 1 or not self._hosts.accept(host):
            return PlainTextResponse("This server has another name; see --allow-host of `awictl ui`.\n", 421)
        if self._is_foreign(headers, host):
            return PlainTextResponse("Pages of other sites have no access.\n", 403)
        if scope["method"] == "GET" and (token := self._token(scope)) is not None:
            cookie = self._links.exchange(token)
            if cookie is not None:
                return HTMLResponse(_LOGGED_IN, headers={"set-cookie": f"{self._cookie}={cookie}{self._attributes}"})
        if not any(map(self._links.accepts, self._given(headers))):
            return HTMLResponse(_NO_ACCESS, 401)
        return None

    def _is_foreign(self, headers: Headers, host: str) -> bool:
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return True
        # a link on another page may lead here; but nothing else of another page may load anything
        return headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and (
            headers.get("sec-fetch-mode") != "navigate" or headers.get("sec-fetch-dest", "document") != "document"
        )

    def _token(self, scope: Scope) -> str | None:
        if scope["path"] != "/":
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get(TOKEN)
        return given[0] if given else None

    def _given(self, headers: Headers) -> list[str]:
        """The values of the cookie; there may be several.

        A browser also sends what servers on other ports of this host have set, whatever it is, and perhaps under the
        same name. `http.cookies` stops at what it does not know, and takes quadratic time for quoted values.
        """
        pairs = [one.partition("=") for header in headers.getlist("cookie") for one in header.split(";")]
        return [value.strip() for name, _, value in pairs if name.strip() == self._cookie][:_MAX_COOKIES]
