"""Take the pictures of the web inspector for the README and the guides, from sessions of the app and of agents at work.

    uv run python -m tests.browser.screenshots docs/images

Starts private servers, and needs Chromium. A picture has the same size each time, in pixels.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from hashlib import md5
from pathlib import Path
from typing import NamedTuple

from playwright.async_api import Page, async_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))
from support import ui_scene
from support.browser import Pages, chromium_program, settled
from support.cli import Cli
from support.documents import put
from support.inspector import inspecting
from support.mongo import MongoServer
from support.ui_story import story
from support.valkey import ValkeyServer

from awictl import StateManager

#: Maximum size of a picture, in bytes.
MAX_BYTES = 200_000
#: Letters with grey instead of coloured edges look the same on every screen.
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-lcd-text"]
AGENTS = [
    "BrowserUseAgent",
    "Price watcher",
    "Comment moderator",
    "Night crawler",
    "Booking agent",
    "Accessibility audit",
]


class Picture(NamedTuple):
    """What is in a picture: a page of the scene, by its name there."""

    page: str
    dark: bool = False
    width: int = 1280
    height: int = 800
    #: The action to show, as the address of the page names it.
    fragment: str = ""


PICTURES = {
    "ui-sessions": Picture("sessions", height=560),
    "ui-session": Picture("session", height=680, fragment="#t=37"),
    "ui-session-dark": Picture("session", dark=True, height=680, fragment="#t=37"),
    "ui-compare": Picture("compare", height=700),
    "ui-health": Picture("health", height=700),
}


def put_more(server: ValkeyServer) -> None:
    """Store further sessions, so that a list looks as one does."""
    now = datetime.now(UTC)
    for number in range(18):
        name = AGENTS[number % len(AGENTS)]
        ended = now - timedelta(seconds=7 + number * number * 5)
        session_id = f"sess_{md5(str(number).encode(), usedforsecurity=False).hexdigest()}"
        agent_id = md5(name.encode(), usedforsecurity=False).hexdigest()[:24]
        raw = story(session_id, agent_id, name, ended, seed=number, count=5 + number * 37 % 90)
        put(server, raw, session_id, 1800 - number * number * 5)


async def take(page: Page, file: Path) -> None:
    """Write a picture of what a page shows."""
    await page.evaluate("document.fonts.ready")
    await page.screenshot(path=file, animations="disabled", caret="hide")
    size = file.stat().st_size
    print(f"{file} {size:,} bytes")
    if size > MAX_BYTES:
        raise SystemExit(f"{file} has {size:,} bytes, more than {MAX_BYTES:,}")


async def main(folder: Path, names: list[str]) -> None:
    """Take the pictures."""
    with ExitStack() as stack:
        server = stack.enter_context(ValkeyServer())
        mongo = MongoServer(durable=False)
        stack.callback(mongo.stop)
        settings = server.settings(mongodb_uri=mongo.start().uri)
        put_more(server)
        async with StateManager.open(settings) as manager:
            scene = await ui_scene.fill(manager, server)
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="awi-")))
        user = Cli.at(home / "home", REDIS_URL=f"redis://127.0.0.1:{server.port}", MONGODB_URI=mongo.uri)
        user.configure("[profiles.production]\nread_only = true\n")
        inspector = stack.enter_context(inspecting(user.having(AWI_PROFILE="production")))
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium_program(), args=ARGUMENTS)
            pages = Pages(browser)
            for name in names:
                picture = PICTURES[name]
                path = f"{scene.paths[picture.page]}{picture.fragment}"
                size = {"width": picture.width, "height": picture.height}
                page = await pages(inspector, path, dark=picture.dark, **size)
                await settled(page)
                await page.wait_for_timeout(500)  # streams have sent what they know
                await take(page, folder / f"{name}.png")
            await pages.close()
            await browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=list(PICTURES), metavar="NAME")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.folder, arguments.names))
