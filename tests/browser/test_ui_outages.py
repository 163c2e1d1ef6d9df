"""Redis, the archive or the inspector itself goes away while pages are open: they say so, and go on by themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect
from support import ui_scene
from support.browser import Pages, settled
from support.cli import LIMIT_SECONDS, Cli
from support.inspector import Inspector
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import StateManager

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

#: What Chromium logs while a server is away.
AWAY = [r"status of 503", r"ERR_CONNECTION_REFUSED", r"ERR_INCOMPLETE_CHUNKED_ENCODING", r"ERR_CONNECTION_RESET"]
AWAY += [r"ERR_EMPTY_RESPONSE", r"ERR_NETWORK"]


def trouble(page: Page) -> Locator:
    """What a page says about servers that are away."""
    return page.locator("main .notice.warn, main .notice.error")


async def open_one(open_page: Pages, inspector: Inspector, path: str) -> Page:
    """Open a page whose timers `soon` runs."""
    page = await open_page.page(inspector.url, expected=AWAY)
    await page.clock.install(time=time.time())
    await open_page.sign_in(page, inspector)
    await page.goto(f"{inspector.url}{path}")
    return page


async def open_all(open_page: Pages, inspector: Inspector, paths: dict[str, str]) -> dict[str, Page]:
    """Open pages, which must have no complaint."""
    pages = {name: await open_one(open_page, inspector, path) for name, path in paths.items()}
    for page in pages.values():
        await settled(page)
        await expect(trouble(page)).to_have_count(0)
    return pages


async def soon(pages: dict[str, Page], condition: Callable[[Page], Awaitable[bool]]) -> None:
    """Let time pass in pages until a condition holds in all of them: some look again only every half a minute."""
    deadline = time.monotonic() + LIMIT_SECONDS
    waiting = dict(pages)
    while waiting := {name: page for name, page in waiting.items() if not await condition(page)}:
        shown = {name: await page.locator("main").inner_text() for name, page in waiting.items()}
        assert time.monotonic() < deadline, shown
        for page in waiting.values():
            await page.clock.fast_forward(10_000)
        await asyncio.sleep(0.1)


def says(text: str) -> Callable[[Page], Awaitable[bool]]:
    """Whether a page complains with this text."""

    async def condition(page: Page) -> bool:
        return any(text in one for one in await trouble(page).all_inner_texts())

    return condition


async def is_well(page: Page) -> bool:
    """Whether a page has no complaint."""
    return await trouble(page).count() == 0


#: Pages that notice at once; `caches` and `health` scan all keys, which the server does every ten seconds at most.
QUICK = ["sessions", "session", "agents", "cache"]


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(QUICK, id="quick"),
        pytest.param(["agent", "caches", "health", "step", "gap"], id="slow", marks=pytest.mark.soak),
    ],
)
async def test_redis_is_killed_and_comes_back(
    names: list[str],
    open_page: Pages,
    new_inspector: Callable[..., Inspector],
    operator: Cli,
    new_valkey: Callable[..., ValkeyServer],
    mongo: MongoServer,
) -> None:
    server = new_valkey()
    async with StateManager.open(server.settings(mongodb_uri=mongo.uri)) as manager:
        scene = await ui_scene.fill(manager, server)
    server.raw.delete(f"AWI:SESSION:{ui_scene.CORRUPT}")
    kept = {key: server.raw.dump(key) for key in server.raw.keys()}  # noqa: SIM118  # a command, not a dict
    inspector = new_inspector(user=operator.having(REDIS_SOCKET=str(server.socket)))
    pages = await open_all(open_page, inspector, {name: scene.paths[name] for name in names})
    server.kill()
    await soon(pages, says("edis"))
    server.start()
    for key, value in kept.items():
        server.raw.restore(key, 900_000, value)
    await soon(pages, is_well)


@pytest.mark.soak  # it takes ten seconds each time until MongoDB counts as away
async def test_the_archive_is_killed_and_comes_back(
    open_page: Pages,
    new_inspector: Callable[..., Inspector],
    operator: Cli,
    valkey: ValkeyServer,
    new_mongo: Callable[[], MongoServer],
) -> None:
    server = new_mongo()
    async with StateManager.open(valkey.settings(mongodb_uri=server.uri)) as manager:
        scene = await ui_scene.fill(manager, valkey)
    inspector = new_inspector(user=operator.having(MONGODB_URI=server.uri))
    pages = await open_all(open_page, inspector, {name: scene.paths[name] for name in ("sessions", "agents")})
    server.kill()
    await soon(pages, says("127.0.0.1"))
    live = {"session": scene.paths["session"], "archived": scene.paths["archived"]}
    pages |= {name: await open_one(open_page, inspector, path) for name, path in live.items()}
    await expect(pages["session"].get_by_role("slider")).to_be_visible()  # what is in Redis is there
    await expect(pages["sessions"].get_by_role("link", name=ui_scene.LIVE)).to_be_visible()
    await expect(trouble(pages["archived"]).first).to_contain_text("127.0.0.1")
    server.start()
    await soon(pages, is_well)
    await expect(pages["archived"].get_by_role("slider")).to_be_visible()


async def test_the_inspector_is_stopped_and_started_again(
    open_page: Pages, new_inspector: Callable[..., Inspector], manager: StateManager, valkey: ValkeyServer
) -> None:
    scene = await ui_scene.fill(manager, valkey)
    inspector = new_inspector()
    names = ("sessions", "session")
    pages = await open_all(open_page, inspector, {name: scene.paths[name] for name in names})
    for page in pages.values():
        open_page.watch(page).expect(r"status of 401")
    inspector.stop()
    await soon(pages, says("does not answer"))
    new_inspector("--port", str(inspector.port))  # which does not know the cookie
    await soon(pages, says("Open the link that"))
