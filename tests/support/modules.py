"""The inspector's ES modules in a browser page without an inspector."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import awictl

from .browser import Pages

if TYPE_CHECKING:
    from playwright.async_api import Page, Route

STATIC = Path(awictl.__file__).parent / "ui" / "static"
_ORIGIN = "http://modules.test"


class Modules:
    """A page that imports modules from the static files."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @classmethod
    async def opened(cls, pages: Pages) -> Modules:
        """Open the page."""
        page = await pages.page(_ORIGIN)
        await page.route(f"{_ORIGIN}/**", _answer)
        await page.goto(f"{_ORIGIN}/")
        return cls(page)

    async def run(self, imports: dict[str, str], body: str, argument: Any = None) -> Any:
        """Run the body of a function of `argument`, and return its result.

        `imports`: names of exports by module: `{"document/json.js": "parseJson, stringify"}`.
        """
        lines = [f'const {{{names}}} = await import("/{module}");' for module, names in imports.items()]
        return await self.page.evaluate(f"async (argument) => {{{' '.join(lines)}\n{body}\n}}", argument)


async def _answer(route: Route) -> None:
    path = route.request.url.removeprefix(f"{_ORIGIN}/")
    if not path:
        await route.fulfill(content_type="text/html", body="<!doctype html><title>Modules</title>")
    elif path == "favicon.ico":
        await route.fulfill(status=204)
    elif not (STATIC / path).is_file():
        await route.fulfill(status=404)
    else:
        await route.fulfill(content_type="text/javascript", path=STATIC / path)
