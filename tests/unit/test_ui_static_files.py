"""The files that the browser loads: all of them at once, and again only if they have changed."""

from __future__ import annotations

import re

import httpx
from support.ui_paths import static_files

from awictl import Settings
from awictl.ui.app import create_app
from awictl.ui.inspector import Inspector
from awictl.ui.offline.bundle import STATIC, read_modules
from awictl.ui.options import InspectorOptions


def client() -> httpx.AsyncClient:
    app = create_app(Inspector(Settings(), InspectorOptions()))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://inspector.test")


async def test_every_file_is_served_and_not_sent_twice() -> None:
    types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "html": "text/html"}
    async with client() as browser:
        for path in static_files():
            found = await browser.get(path)
            assert (found.status_code, found.headers["cache-control"]) == (200, "no-cache")
            assert found.content == (STATIC / path.removeprefix("/static/")).read_bytes()
            assert found.headers["content-type"].startswith(types.get(path.rsplit(".", 1)[-1], "text/plain")), path
            again = await browser.get(path, headers={"If-None-Match": found.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == found.headers["etag"]
            assert (await browser.get(path, headers={"If-None-Match": '"x"'})).status_code == 200
        assert (await browser.get("/static/../app.py")).status_code == 404
        assert (await browser.get("/static/missing.js")).status_code == 404


async def test_a_page_names_all_modules() -> None:
    async with client() as browser:
        page = await browser.get("/sessions")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        named = re.findall(r'<link rel="modulepreload" href="/static/([^"]+)">', page.text)
        assert sorted(named) == sorted(set(read_modules(STATIC, "app.js")) - {"app.js"}) and len(named) > 20
        assert page.text.index("modulepreload") < page.text.index('<script type="module" src="/static/app.js">')
        again = await browser.get("/health", headers={"If-None-Match": page.headers["etag"]})
        assert again.status_code == 304
        missing = await browser.get("/nothing", headers={"If-None-Match": page.headers["etag"]})
        assert (missing.status_code, missing.text) == (404, page.text)
