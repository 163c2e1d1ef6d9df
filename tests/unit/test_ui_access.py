"""Who has access to the inspector: names of the server, links and cookies."""

from __future__ import annotations

import httpx
import pytest
from starlette.responses import PlainTextResponse

from awictl.ui.http.access import CONTENT_SECURITY_POLICY, MAX_BROWSERS, AccessControl, HostNames, LoginLinks

LOCAL = HostNames("127.0.0.1", 4711, wide=False)
WIDE = HostNames("0.0.0.0", 4711, wide=True, allowed=["Inspector.example.com", "other.example.com:8443"])  # noqa: S104


@pytest.mark.parametrize("header", ["127.0.0.1:4711", "localhost:4711", "LOCALHOST:4711", "[::1]:4711"])
def test_the_address_of_the_server_is_a_name_of_it(header: str) -> None:
    assert LOCAL.accept(header)
    assert WIDE.accept(header)


@pytest.mark.parametrize(
    "header",
    [
        *("", "evil.example", "evil.example:4711", "127.0.0.1", "127.0.0.1:4712", "localhost.evil.example:4711"),
        *("127.0.0.1.nip.io:4711", "x@127.0.0.1:4711", "127.0.0.1:4711@evil.example", "127.0.0.1:4711/x"),
        *("127.0.0.1:x", "127.0.0.1:99999", "[::1", "localhost.:4711", "10.0.0.7:4711"),
    ],
)
def test_other_names_are_refused(header: str) -> None:
    assert not LOCAL.accept(header)


def test_behind_a_proxy_any_address_and_the_allowed_names_are_accepted() -> None:
    """A name can be made to resolve to this address, but a page cannot have an address as its origin by that."""
    for header in ("10.0.0.7:4711", "[2001:db8::1]:4711", "inspector.example.com", "other.example.com:8443"):
        assert WIDE.accept(header), header
    for header in ("10.0.0.7:4712", "evil.example:4711", "other.example.com", "inspector.example.com.evil.example"):
        assert not WIDE.accept(header), header


def test_a_link_works_once() -> None:
    used: list[None] = []
    links = LoginLinks(lambda: used.append(None))
    token, other = links.new_token(), links.new_token()
    assert links.exchange("unknown") is None
    assert links.exchange("ü\udcff") is None
    cookie = links.exchange(token)
    assert cookie is not None
    assert links.exchange(token) is None
    assert links.accepts(cookie)
    assert not links.accepts(token)
    assert not links.accepts("")
    assert links.exchange(other) not in (None, cookie)
    assert len(used) == 2


def test_the_number_of_browsers_is_bounded() -> None:
    links = LoginLinks()
    cookies = [links.exchange(links.new_token()) or "" for _ in range(MAX_BROWSERS + 1)]
    assert [links.accepts(one) for one in cookies] == [False] + [True] * MAX_BROWSERS


@pytest.fixture
def links() -> LoginLinks:
    return LoginLinks()


def client_of(links: LoginLinks, *, secure: bool = False) -> httpx.AsyncClient:
    app = AccessControl(PlainTextResponse("inside"), links, LOCAL, 4711, secure=secure)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:4711")


@pytest.fixture
def client(links: LoginLinks) -> httpx.AsyncClient:
    return client_of(links)


async def test_a_browser_logs_in_with_the_link(client: httpx.AsyncClient, links: LoginLinks) -> None:
    assert (await client.get("/api/about")).status_code == 401
    response = await client.get("/", params={"token": links.new_token()})
    assert (response.status_code, "inside" in response.text) == (200, False)
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("awictl_ui_4711=")
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
    assert (await client.get("/api/about")).text == "inside"


async def test_the_cookie_is_for_https_only_behind_a_proxy(links: LoginLinks) -> None:
    client = client_of(links, secure=True)
    assert (await client.get("/", params={"token": links.new_token()})).headers["set-cookie"].endswith("; Secure")


async def test_a_head_request_and_another_path_do_not_use_up_a_link(
    client: httpx.AsyncClient, links: LoginLinks
) -> None:
    token = links.new_token()
    assert (await client.head("/", params={"token": token})).status_code == 401
    assert (await client.get("/sessions", params={"token": token})).status_code == 401
    assert (await client.get("/", params={"token": token})).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
async def test_other_methods_do_not_exist(client: httpx.AsyncClient, links: LoginLinks, method: str) -> None:
    await client.get("/", params={"token": links.new_token()})
    response = await client.request(method, "/api/about")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://127.0.0.1:4711"}, 200),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}, 200),
        ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}, 403),
        ({"origin": "http://127.0.0.1:4712"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[evil"}, 403),
        ({"host": "evil.example:4711"}, 421),
        ({"host": ""}, 421),
    ],
)
async def test_pages_of_other_sites_have_no_access(
    client: httpx.AsyncClient, links: LoginLinks, headers: dict[str, str], status: int
) -> None:
    await client.get("/", params={"token": links.new_token()})
    assert (await client.get("/api/about", headers=headers)).status_code == status


@pytest.mark.parametrize(
    "header",
    [
        "{name}={value}; {name}=of-a-server-on-another-port",
        "{name}=of-a-server-on-another-port; {name}={value}",
        'settings={{"a": "b; c", ü}}; {name}={value}',
        "a[b]=1;{name}={value}",
        ";; =;x; {name}={value}",
    ],
)
async def test_cookies_of_other_servers_on_this_host_do_no_harm(
    client: httpx.AsyncClient, links: LoginLinks, header: str
) -> None:
    value = links.exchange(links.new_token())
    given = header.format(name="awictl_ui_4711", value=value).encode()
    assert (await client.get("/api/about", headers={b"cookie": given})).text == "inside"


async def test_only_the_first_few_cookies_of_one_name_are_looked_at(
    client: httpx.AsyncClient, links: LoginLinks
) -> None:
    value = links.exchange(links.new_token())
    given = "awictl_ui_4711=x; " * 1_000 + f"awictl_ui_4711={value}"
    assert (await client.get("/api/about", headers={"cookie": given})).status_code == 401


async def test_every_response_has_the_security_headers(client: httpx.AsyncClient, links: LoginLinks) -> None:
    responses = [await client.get("/"), await client.post("/"), await client.get("/", headers={"host": "evil.example"})]
    responses.append(await client.get("/", params={"token": links.new_token()}))
    responses.append(await client.get("/"))
    assert [one.status_code for one in responses] == [401, 405, 421, 200, 200]
    for response in responses:
        assert response.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cache-control"] == "no-store"


def test_no_inline_code_and_nothing_foreign_is_allowed() -> None:
    directives = dict(one.split(" ", 1) for one in CONTENT_SECURITY_POLICY.split("; "))
    assert directives["default-src"] == "'none'"
    assert {value for name, value in directives.items() if name.endswith("-src")} == {"'none'", "'self'"}
    assert (directives["require-trusted-types-for"], directives["trusted-types"]) == ("'script'", "'none'")
