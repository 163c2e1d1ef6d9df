"""Hostile text in every field: no script runs, nothing of it becomes markup, and the pages keep their shape."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from support import ui_hostile
from support.browser import Pages, harm, settled, visit
from support.inspector import Inspector
from support.mongo import MongoServer
from support.valkey import ValkeyServer


def hostile_paths() -> list[str]:
    """Paths of pages that show hostile text, some of it from the path itself."""
    sessions = [*ui_hostile.SESSIONS, "sess_bad", "sess_app1"]
    paths = ["/sessions", *(f"/sessions/{one}" for one in sessions), "/agents", "/caches", "/health"]
    paths += [f"/caches/{ui_hostile.CACHE_KEY}", f"/compare?a={ui_hostile.PLAIN}&b={ui_hostile.TYPES}"]
    paths += [f"/compare?a={ui_hostile.DEEP}&b={ui_hostile.WIDE}"]
    name = quote(ui_hostile.MARKUP[0] + ui_hostile.LOOKS[0] + "%javascript:alert(1)", safe="")
    paths += [f"/sessions/{name}", f"/agents/{name}", f"/caches/{name}", f"/sessions?where={name}&sort={name}"]
    paths += [
        f"/compare?a={name}&b={name}",
        f"/sessions/{ui_hostile.PLAIN}#t={name}",
        f"/sessions/{ui_hostile.PLAIN}#t=%",
    ]
    return [
        *paths,
        *(f"/{kind}/{other}" for kind in ("sessions", "agents", "caches") for other in ("__proto__", "%", "..%2f")),
    ]


#: Opens and presses everything on a page, and uses its keys: more hostile text appears.
POKE = """async () => {
  const pause = () => new Promise((resolve) => setTimeout(resolve, 10));
  for (let round = 0; round < 2; round++) {
    for (const one of document.querySelectorAll("main details")) one.open = true;
    for (const one of [...document.querySelectorAll("main button")].slice(0, 60)) if (one.isConnected) one.click();
    await pause();
    for (const key of ["End", "ArrowLeft", "ArrowLeft", "Home", "ArrowRight", "?", "Escape", "n", "p", "f", "+", "-"]) {
      document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
      await pause();
    }
  }
}"""


#: Pages that are used in the default run, too: between them, they have every part of a page that shows stored text.
USED = ["/sessions", f"/sessions/{ui_hostile.PLAIN}", f"/compare?a={ui_hostile.PLAIN}&b={ui_hostile.TYPES}"]
USED += ["/agents", f"/caches/{ui_hostile.CACHE_KEY}", "/health"]


@pytest.mark.parametrize("used", [USED, pytest.param(None, marks=pytest.mark.soak)], ids=["some", "all"])
async def test_hostile_text_is_only_text(
    open_page: Pages, inspector: Inspector, valkey: ValkeyServer, mongo: MongoServer, used: list[str] | None
) -> None:
    """`used`: the pages of which everything is pressed; None: all that have no hostile path."""
    ui_hostile.fill(valkey, mongo)
    page = await open_page(inspector, "/sessions", expected=[r"status of (400|404|409|413|422)"])
    found = {}
    for path in hostile_paths():
        await visit(page, path)
        found[path] = await harm(page)
        if path in used if used is not None else "%" not in path:
            await page.evaluate(POKE)
            found[f"{path}, used"] = await harm(page)
    # the path itself, in a document that is loaded: as a link in a message would open it
    await page.goto(f"{inspector.url}{hostile_paths()[-10]}")
    await settled(page)
    found["loaded"] = await harm(page)
    assert not {path: what for path, what in found.items() if what}


async def test_harm_is_noticed(open_page: Pages) -> None:
    page = await open_page.page("http://inspector.test", expected=["."])
    await page.set_content(f"<title>\u202e</title><p>{''.join(ui_hostile.HOSTILE)}<p style=width:3000px>")
    await page.evaluate("Object.prototype.harmed = 1")
    found = "\n".join(await harm(page))
    wanted = [
        "code ran",
        "polluted: harmed",
        "scripts",
        "<iframe",
        "onerror",
        "javascript:",
        "text in <title",
        "320 px",
    ]
    assert not [one for one in wanted if one not in found], found
