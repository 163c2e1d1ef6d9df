"""Fixtures for tests in a real browser: one Chromium per worker, and an inspector per test.

All of these tests run in one event loop, that of the browser, and so does what they use of the library: `manager`, too.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from support.browser import Pages, chromium_program
from support.cli import LIMIT_SECONDS, Cli
from support.inspector import Inspector, inspecting
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import Settings, StateManager

if TYPE_CHECKING:
    from playwright.async_api import Browser

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and let them share an event loop."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """The browser of this worker."""
    if "FAKETIME" in os.environ:
        pytest.skip("a browser does not run with a shifted clock")
    program = chromium_program()
    if program is None:
        pytest.skip("no Chromium on the PATH (Debian: apt-get install chromium), and AWICTL_TEST_BROWSER is not set")
    api = pytest.importorskip("playwright.async_api", reason="playwright is not installed (uv sync)")
    api.expect.set_options(timeout=LIMIT_SECONDS * 1000)
    async with api.async_playwright() as playwright:
        # --no-sandbox: CI runs as root. The files are in /tmp, since /dev/shm may be small.
        options = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = await playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(chromium: Browser) -> AsyncIterator[Pages]:
    """Opens pages, and fails if one of them did something that the test did not expect; see `Pages` and `Watch`."""
    pages = Pages(chromium)
    yield pages
    await pages.close()


@pytest.fixture
def operator(tmp_path: Path, valkey: ValkeyServer, mongo: MongoServer) -> Cli:
    """A user whose live sessions are in the Valkey of this worker, and whose archive is in its MongoDB."""
    user = Cli.at(tmp_path / "home", REDIS_HOST="127.0.0.1", REDIS_PORT=str(valkey.port))
    return user.having(MONGODB_URI=mongo.uri)


@pytest.fixture
def new_inspector(chromium: Browser, operator: Cli) -> Iterator[Callable[..., Inspector]]:
    """Start web inspectors with options of `awictl ui`; `user` is the operator, or someone else."""
    with ExitStack() as running:
        yield lambda *options, user=operator: running.enter_context(inspecting(user, *options))


@pytest.fixture
def inspector(new_inspector: Callable[..., Inspector]) -> Inspector:
    """A web inspector of the operator."""
    return new_inspector()


@pytest.fixture
def settings(valkey: ValkeyServer, mongo: MongoServer) -> Settings:
    """Settings of the operator."""
    return valkey.settings(mongodb_uri=mongo.uri)


@pytest_asyncio.fixture(loop_scope="session")
async def manager(settings: Settings) -> AsyncIterator[StateManager]:
    """A manager that writes what the pages show."""
    async with StateManager.open(settings) as opened:
        yield opened
