"""Pages in a real browser, and all that went wrong in them."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .cli import LIMIT_SECONDS
from .inspector import Inspector

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page, Request

#: Names of the program, in Debian and elsewhere. The headless shell is Chromium without the windows around its pages,
#: and what Playwright itself runs headless; it takes two thirds of the processor time.
_PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
#: Reports of the Content-Security-Policy become errors on the console, even those that the browser does not print.
_REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP violation: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""

_HARM = Path(__file__).with_name("harm.js").read_text(encoding="utf-8")
_VISIT = """async (path) => {
  history.pushState(null, "", path);
  dispatchEvent(new PopStateEvent("popstate"));
  await new Promise((resolve) => setTimeout(resolve));
}"""
#: What overflows the page, as far as it is to be seen.
_OVERFLOW = """() => {
  const most = document.documentElement.clientWidth;
  if (document.scrollingElement.scrollWidth <= most) return [];
  return [...document.body.querySelectorAll("*")]
    .filter((one) => one.getBoundingClientRect().right > most + 1)
    .map((one) => `${one.tagName.toLowerCase()}.${one.className} ${Math.round(one.getBoundingClientRect().right)}`)
    .concat(`page ${document.scrollingElement.scrollWidth}`).slice(-8);
}"""


def chromium_program() -> str | None:
    """The browser for the tests: `AWICTL_TEST_BROWSER`, or the first one on the PATH."""
    return os.environ.get("AWICTL_TEST_BROWSER") or next(filter(None, map(shutil.which, _PROGRAMS)), None)


async def until(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds that the browser's `expect` cannot check; fail if that takes too long."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(0.02)


async def settled(page: Page) -> None:
    """Wait until a page shows its first data: while it loads, something in it is busy."""
    from playwright.async_api import expect

    await expect(page.locator("main h1")).to_be_visible()
    await expect(page.locator("main [aria-busy=true]")).to_have_count(0)


async def visit(page: Page, path: str) -> None:
    """Go to another page of the inspector as a link does, without loading the document anew; wait until it shows."""
    await page.evaluate(_VISIT, path)
    await settled(page)


async def overflow(page: Page, width: int) -> list[str]:
    """The elements that make the page scroll to the side at a width."""
    await page.set_viewport_size({"width": width, "height": 800})
    found: list[str] = await page.evaluate(_OVERFLOW)
    return found


async def violations(page: Page) -> list[str]:
    """What axe-core finds in a page: the rule, and where. Its script cannot run under the policy of a page."""
    from axe_playwright_python.async_playwright import Axe

    found = await Axe().run(page, options={"resultTypes": ["violations"]})
    rows: list[dict[str, Any]] = found.response["violations"]
    return [f"{row['id']}: {node['html']:.300} {node['failureSummary']}" for row in rows for node in row["nodes"]]


async def harm(page: Page, scripts: int = 1) -> list[str]:
    """What hostile text has done to a page: code that ran, elements and attributes, layout. `scripts`: its own ones."""
    found: list[str] = await page.evaluate(_HARM, scripts)
    for width in (320, 1280):
        found += [f"{width} px: {one}" for one in await overflow(page, width)]
    return found


@dataclass
class Watch:
    """What happened in a page."""

    #: The only origin that the page may send requests to; "" for a file, which may send none.
    origin: str
    #: Patterns of problems that the test expects.
    expected: list[re.Pattern[str]]
    #: Errors on the console (reports of the Content-Security-Policy among them), exceptions, dialogs, failed requests,
    #: and requests to others.
    problems: list[str] = field(default_factory=list)
    #: URLs of all requests.
    requests: list[str] = field(default_factory=list)

    def expect(self, *patterns: str) -> None:
        """Expect problems that contain one of these regular expressions."""
        self.expected += map(re.compile, patterns)

    def unexpected(self) -> list[str]:
        """The problems that the test did not expect."""
        return [one for one in self.problems if not any(pattern.search(one) for pattern in self.expected)]

    def attach(self, page: Page) -> None:
        """Record from now on."""
        page.on("console", lambda message: self._on_console(message.type, message.text, message.location))
        page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        page.on("request", self._on_request)
        page.on("requestfailed", self._on_failed)
        page.on("dialog", self._on_dialog)
        page.on("popup", lambda other: self.problems.append(f"popup: {other.url:.200}"))
        page.on("crash", lambda _: self.problems.append("the page crashed"))

    def _on_console(self, kind: str, text: str, location: Any) -> None:
        if kind in ("error", "warning", "assert"):
            self.problems.append(f"{kind}: {text} ({location.get('url', '')})")

    def _on_request(self, request: Request) -> None:
        self.requests.append(request.url)
        inside = self.origin and request.url.startswith(f"{self.origin}/")
        if not inside and not (request.url.startswith("file:") and request.is_navigation_request()):
            self.problems.append(f"foreign request: {request.url:.200}")

    def _on_failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page closed a stream, or was left
            self.problems.append(f"failed request: {request.url} {request.failure}")

    async def _on_dialog(self, dialog: Any) -> None:
        self.problems.append(f"dialog: {dialog.message:.200}")
        await dialog.dismiss()


class Pages:
    """Opens pages, each in a browser profile of its own."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self._contexts: list[BrowserContext] = []
        self._watches: dict[Page, Watch] = {}

    async def __call__(
        self,
        inspector: Inspector,
        path: str = "/",
        *,
        expected: Sequence[str] = (),
        signed_in: bool = True,
        **options: Any,
    ) -> Page:
        """Open a page of the inspector; return it when its modules have run.

        `expected`: regular expressions of the problems that the test provokes, such as a failed request. `options`: see
        `page`.
        """
        page = await self.page(inspector.url, expected=expected, **options)
        if signed_in:
            await self.sign_in(page, inspector)
        await page.goto(f"{inspector.url}{path}")
        return page

    async def sign_in(self, page: Page, inspector: Inspector) -> None:
        """Give a page the cookie of a user who has followed the link."""
        cookies = [{"name": name, "value": value, "url": inspector.url} for name, value in inspector.cookies.items()]
        await page.context.add_cookies(cookies)  # type: ignore[arg-type]

    async def file(self, path: Path, fragment: str = "", **options: Any) -> Page:
        """Open a file in a browser that is offline."""
        page = await self.page("", offline=True, **options)
        await page.goto(f"{path.resolve().as_uri()}{fragment}")
        return page

    async def page(
        self,
        origin: str,
        *,
        width: int = 1280,
        height: int = 800,
        dark: bool = False,
        expected: Sequence[str] = (),
        **options: Any,
    ) -> Page:
        """An empty page that may send requests to one origin. `options`: of Playwright's `Browser.new_context`."""
        context = await self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            locale="en-US",
            timezone_id="UTC",
            reduced_motion="reduce",
            service_workers="block",
            **options,
        )
        self._contexts.append(context)
        context.set_default_timeout(LIMIT_SECONDS * 1000)
        await context.add_init_script(_REPORT_VIOLATIONS)
        page = await context.new_page()
        watch = Watch(origin, list(map(re.compile, expected)))
        watch.attach(page)
        self._watches[page] = watch
        return page

    def watch(self, page: Page) -> Watch:
        """What happened in a page."""
        return self._watches[page]

    async def close(self) -> None:
        """Close all pages. Fails if something unexpected happened in one of them."""
        unexpected = [one for watch in self._watches.values() for one in watch.unexpected()]
        for context in self._contexts:
            await context.close()
        self._contexts.clear()
        self._watches.clear()
        assert not unexpected, unexpected
