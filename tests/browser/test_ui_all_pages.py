"""What holds on every page: axe-core finds nothing, nothing scrolls to the side, and looking at it writes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from support import ui_scene
from support.browser import Pages, overflow, violations, visit
from support.cli import unchanged
from support.inspector import Inspector
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import StateManager

#: Problems that Chromium logs on pages that exist only to say what is missing or unreadable.
EXPECTED = [r"status of (404|422)"]
NARROW, WIDE = 320, 1280
#: Pages that axe-core examines in the long run only: others are like them.
SIMILAR = {"step", "archived", "gap", "agent", "compare-form"}
#: Pages that it examines in the dark and narrow, too; all of them in the long run.
DARK = {"sessions", "session", "compare", "health"}
#: Widths that a page has to cope with, in pixels; the extremes and what is between them, and all.
FEW_WIDTHS = [320, 768, 1280, 2560]
WIDTHS = [320, 360, 480, 640, 768, 1024, 1280, 1920, 2560]


async def test_every_page_is_accessible_and_fits(
    open_page: Pages, inspector: Inspector, manager: StateManager, valkey: ValkeyServer, mongo: MongoServer
) -> None:
    scene = await ui_scene.fill(manager, valkey)
    found: dict[str, list[str]] = {}
    # axe-core could not run under the policy of the page
    page = await open_page(inspector, "/sessions", expected=EXPECTED, bypass_csp=True)
    archived = archive_of(mongo)
    with unchanged(valkey):
        for name, path in scene.paths.items():
            await visit(page, path)
            schemes = [(WIDE, "light")] * (name not in SIMILAR) + [(NARROW, "dark")] * (name in DARK)
            for width, scheme in schemes:
                await page.set_viewport_size({"width": width, "height": 800})
                await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                found[f"{name} {scheme} {width}"] = await violations(page)
            for width in FEW_WIDTHS:
                found[f"{name} {width}"] = await overflow(page, width)
    assert not {place: what for place, what in found.items() if what}
    assert archive_of(mongo) == archived


def archive_of(mongo: MongoServer) -> dict[str, list[Any]]:
    """All documents of the archive."""
    return {name: list(mongo.raw[name].find()) for name in mongo.raw.list_collection_names()}


@pytest.mark.soak
async def test_every_page_is_accessible_in_both_themes_at_all_widths(
    open_page: Pages, inspector: Inspector, manager: StateManager, valkey: ValkeyServer
) -> None:
    scene = await ui_scene.fill(manager, valkey)
    found: dict[str, list[str]] = {}
    page = await open_page(inspector, "/sessions", expected=EXPECTED, bypass_csp=True)
    for name, path in scene.paths.items():
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            await visit(page, path)
            for width in WIDTHS:
                await page.set_viewport_size({"width": width, "height": 800})
                found[f"{name} {scheme} {width}"] = await violations(page)
    assert not {place: what for place, what in found.items() if what}
