"""The page of a session: its steps, keys, states, links and addresses, and what happens while the session goes on."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from playwright.async_api import expect
from support.browser import Pages
from support.cli import unchanged
from support.documents import APP_FILES, document, put
from support.inspector import Inspector
from support.ui_scene import APP
from support.ui_story import story
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.document.byte_layout import encode
from awictl.document.history.moments import parse_moment_of
from awictl.document.history.timeline import Timeline

if TYPE_CHECKING:
    from playwright.async_api import Page

SESSION, AGENT = "sess_life", "agent one"
#: The number of the newest action of the life in these tests.
LAST = 44
CLIPBOARD = ["clipboard-read", "clipboard-write"]


async def at(page: Page, ordinal: int) -> None:
    """Wait until a step is shown: its state, its action, its row, and the slider."""
    await expect(page.get_by_role("heading", name=f"State after action {ordinal}", exact=True)).to_be_visible()
    await expect(page.locator("#action-title .muted")).to_have_text(str(ordinal))
    await expect(page.locator("[role=option][aria-selected=true] .number")).to_have_text(str(ordinal))


async def press(page: Page, *keys: str) -> None:
    for key in keys:
        await page.keyboard.press(key)


async def rows_of(page: Page) -> list[str]:
    """What the tree of the state shows: the text of each row, with all that is not on the screen."""
    return await page.locator("[aria-label=State] .row").all_text_contents()


async def test_the_steps_of_a_session(
    open_page: Pages, inspector: Inspector, manager: StateManager, valkey: ValkeyServer
) -> None:
    made = story(SESSION, AGENT, "Agent", datetime(2026, 11, 23, 23, 59, 50, tzinfo=UTC), count=LAST)
    put(valkey, made, SESSION, 1700)
    whole = await manager.time_travel.whole(SESSION)
    states = {one.ordinal: one for one in whole.timeline.states()}
    with unchanged(valkey):
        page = await open_page(
            inspector, f"/sessions/{SESSION}#t=13", permissions=["clipboard-read", "clipboard-write"]
        )
        await at(page, 13)
        await steps_and_keys(page)
        await state_and_changes(page, states)
        await addresses(page)
        await go_to(page, whole.timeline)
        await links_and_commands(page)
    assert sum("/api/sessions/" in url for url in open_page.watch(page).requests) == 2, "its events, and its string"


async def steps_and_keys(page: Page) -> None:
    slider = page.get_by_role("slider", name="Step")
    for key, ordinal in (
        *(("ArrowRight", 14), ("ArrowLeft", 13), ("PageDown", 33), ("PageUp", 13), ("Home", 0), ("ArrowLeft", 0)),
        *(("n", 6), ("n", 14), ("p", 6), ("End", LAST), ("ArrowRight", LAST)),
    ):
        await press(page, key)
        await at(page, ordinal)
    await slider.focus()  # the keys are the same there
    for key, ordinal in (("Home", 0), ("PageDown", 20), ("ArrowRight", 21)):
        await press(page, key)
        await at(page, ordinal)
    await page.get_by_role("listbox", name="Actions").focus()
    for key, ordinal in (("ArrowDown", 22), ("ArrowDown", 23), ("ArrowUp", 22)):
        await press(page, key)
        await at(page, ordinal)
    await slider.fill("30")
    await at(page, 30)
    assert "action 30: " in str(await slider.get_attribute("aria-valuetext"))
    await page.get_by_role("button", name="Previous step").click()
    await at(page, 29)

    # the first and the last tick of the strip, which is 24 pixels high
    strip = page.locator(".strip")
    await strip.click(position={"x": 2, "y": 10})
    await at(page, 0)
    await page.locator(".timeline").evaluate("(one) => { one.scrollTop = 0; }")
    options = await page.locator("[role=option]").all_text_contents()
    assert options[0].strip() == "2026-11-23 UTC" and options[1].startswith("0session_start")
    assert options[7].startswith("6get_post✗failed+2.1 s") and "✓ok" in options[6]

    # two pauses of 380 s, after 17 and after 40 actions, take most of the time, unless they are shortened
    await page.get_by_role("slider", name="Step").fill("17")
    await at(page, 17)
    assert 0.2 < await marker(page) < 0.3 and await page.locator(".strip rect.idle").count() == 2
    idle = page.get_by_role("checkbox", name="shorten idle time")
    await idle.uncheck()
    await expect(page.locator(".marker")).to_have_attribute("style", re.compile(r"left: [0-9]\."))
    await idle.check()
    await press(page, "Tab", "Home")
    await at(page, 0)

    # keys that mean something else where they are pressed
    changed = page.get_by_role("checkbox", name="only changed")
    await changed.focus()
    await press(page, "Space", "Space")
    await expect(page.get_by_role("button", name="Play")).to_be_visible()
    await press(page, "?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    use = page.get_by_role("checkbox", name="use these keys")
    await use.uncheck()
    await press(page, "ArrowRight", "Escape", "ArrowRight", "?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    await at(page, 0)
    await page.get_by_role("button", name="Keys").click()
    await use.check()
    await press(page, "Escape")

    # playing: the pace is that of the timestamps, and it stops at the end
    await page.locator(".timeline").focus()
    await press(page, "ArrowDown", "ArrowDown", "ArrowUp")
    await at(page, 1)
    await press(page, *"+++++++++", "-", "+", "PageDown", "PageDown", "Space")
    await expect(page.locator(".speed")).to_have_text("64 ×")
    await at(page, LAST)
    await expect(page.get_by_role("button", name="Play")).to_be_visible()


async def marker(page: Page) -> float:
    """Where the strip shows the step, from 0 to 1."""
    left: float = await page.locator(".marker").evaluate("(one) => parseFloat(one.style.left) / 100")
    return left


async def state_and_changes(page: Page, states: dict[int, Any]) -> None:
    await page.get_by_role("button", name="expand all").click()
    for ordinal in (13, 8):
        await page.get_by_role("slider").fill(str(ordinal))
        await at(page, ordinal)
        await page.get_by_role("button", name="copy the state as JSON").click()
        await until_copied(page)
        assert json.loads(await clipboard(page)) == states[ordinal].head, "as the library says"
    await page.get_by_role("slider").fill("13")
    old, new = states[12].head, states[13].head
    assert old["current_url"] != new["current_url"]
    row = f'current_url"{new["current_url"]}"changedwas "{old["current_url"]}"'
    assert row in [one.replace("⋯", "").replace(" changed", "changed") for one in await rows_of(page)], await rows_of(
        page
    )
    listed = await page.locator(".changes li").all_text_contents()
    assert f'/current_url changed "{old["current_url"]}" → "{new["current_url"]}"' in listed
    assert not [one for one in listed if "statistics" in one or "last_updated" in one]

    # only what changed: no other leaf
    await page.get_by_role("checkbox", name="only changed").check()
    keys = await page.locator("[aria-label=State] .leaf").all_text_contents()
    assert {"current_url", "cursor", "route", "last_updated"} <= set(keys) and "agent_id" not in keys
    await page.get_by_role("checkbox", name="only changed").uncheck()
    await page.get_by_role("button", name="collapse all").click()
    assert len(await rows_of(page)) == len(new)
    tree = page.get_by_role("group", name="State", exact=True)
    await tree.get_by_role("button", name="page_state").click()
    await expect(tree.get_by_role("button", name="pagination")).to_have_attribute("aria-expanded", "false")

    # pointer and value of a field
    pagination = tree.locator(".row").filter(has=page.get_by_role("button", name="pagination"))
    await pagination.hover()
    await pagination.get_by_role("button", name="Pointer and value").click()
    await expect(page.locator(".field-detail code")).to_have_text("/page_state/pagination")
    await page.get_by_role("button", name="copy the value").click()
    await until_copied(page)
    assert json.loads(await clipboard(page)) == new["page_state"]["pagination"]
    # a page that comes over HTTP from another machine has no clipboard
    await page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined, configurable: true})")
    await page.get_by_role("button", name="copy the pointer").click()
    await page.evaluate("delete navigator.clipboard")
    assert await clipboard(page) == "/page_state/pagination"


async def until_copied(page: Page) -> None:
    await expect(page.get_by_role("status").filter(has_text="copied").last).to_be_visible()


async def clipboard(page: Page) -> str:
    text: str = await page.evaluate("navigator.clipboard.readText()")
    return text


async def addresses(page: Page) -> None:
    await press(page, "Escape", "Home", "ArrowRight")
    await page.wait_for_url("**#t=1")
    await page.get_by_role("option").filter(has_text="search").first.click()
    row = page.get_by_role("option").filter(has_text="paginate").first
    await row.click()
    await at(page, 2)
    await page.wait_for_url("**#t=2")
    await page.go_back()
    await at(page, 1)
    await page.go_forward()
    await at(page, 2)
    for wrong, said in (("99", "There is no action 99: the actions that are known are 0 to 44."), ("x", "no action")):
        await page.evaluate(f"location.hash = 't={wrong}'")
        await expect(page.locator("main .notice.warn")).to_contain_text(said)
        await at(page, LAST)
    await page.evaluate("location.hash = 't=13'")
    await at(page, 13)
    await expect(page.locator("main .notice.warn")).to_have_count(0)
    await page.get_by_role("link", name="Skip to the page").press("Enter")
    await expect(page.get_by_role("main")).to_be_focused()
    await at(page, 13)


async def go_to(page: Page, timeline: Timeline) -> None:
    """Go to an action by its number, a time, which is what it is for `session show --at`, or a text in it."""
    await press(page, "Escape", "/")
    field = page.get_by_role("searchbox", name="Go to an action")
    await expect(field).to_be_focused()
    for text, ordinal in (
        *(("7", 7), ("post NOT found", 14), ("post NOT found", 30), ("post NOT found", 6)),
        *(("23:45", 12), ("23:52:15", 26), ("2026-11-23T23:59:47", 42)),
    ):
        if ":" in text:
            assert parse_moment_of(text).in_(timeline, datetime.now(UTC)) == ordinal
        await field.fill(text)
        await press(page, "Enter")
        await at(page, ordinal)
    for text, said in (
        ("99", "There is no action 99"),
        ("0:05", "was made until 2026-11-23 00:05:00 UTC"),
        ("nowhere", "has this text"),
    ):
        await field.fill(text)
        await press(page, "Enter")
        await expect(page.locator(".go-to")).to_contain_text(said)
    await page.evaluate("location.hash = 't=13'")
    await at(page, 13)


async def links_and_commands(page: Page) -> None:
    found = await page.locator(".facts a").evaluate_all("(all) => all.map((one) => one.getAttribute('href'))")
    where = "/sessions?where=agent+%3D%3D+%22agent+one%22"
    assert found == ["/agents/agent%20one", where, f"/compare?a={SESSION}"]
    await page.get_by_text("The same in a terminal").click()
    session = "awictl session"
    assert await page.locator(".commands code").all_text_contents() == [
        f"{session} show {SESSION} --at 13",
        f"{session} diff {SESSION} --from 12 --to 13",
        f"{session} replay {SESSION} --from 13",
        f"{session} watch {SESSION}",
        f"{session} verify {SESSION}",
        f"{session} fork {SESSION} --at 13",
        f"{session} export {SESSION} --html {SESSION}.html",
    ]
    await page.get_by_role("button", name="Load the stored string").click()
    await expect(page.locator(".raw pre")).to_contain_text(f'{{"session_id":"{SESSION}"')


async def test_a_session_that_goes_on(
    open_page: Pages, inspector: Inspector, manager: StateManager, valkey: ValkeyServer
) -> None:
    """The page follows at the newest step, and stays at another one; it says what becomes of the session."""
    put(valkey, APP_FILES[2].read_bytes(), APP, 1700)  # as the app wrote it
    last = len(json.loads(APP_FILES[2].read_bytes())["history"]["actions"]) - 1
    page = await open_page(inspector, f"/sessions/{APP}")
    await at(page, last)
    assert "#" not in page.url
    following = page.get_by_text("following", exact=True)
    await expect(following).to_be_visible()
    await manager.update_state_with_delta(APP, {"draft": {"text": "new"}}, {"action": "write"})
    await at(page, last + 1)
    await expect(page.locator(".changes li")).to_have_text('/draft added {"text": "new"}')
    await expect(page.locator(".action time")).to_have_text(re.compile(r"^\d{4}-\d\d-\d\d [\d:]{8}\.\d{3} UTC$"))
    await expect(page.get_by_role("heading", name="Input").locator("+ .tree")).to_have_text("{}")
    await press(page, "ArrowLeft")
    await at(page, last)
    await expect(following).to_have_count(0)
    for number in range(2):
        await manager.update_state_with_delta(APP, {"draft": {"text": number}}, {"action": f"write {number}"})
    await page.get_by_role("button", name="2 newer").click()
    await at(page, last + 3)
    await expect(page.locator(".changes li")).to_have_text("/draft/text changed 0 → 1")
    await expect(page).to_have_url(f"{inspector.url}/sessions/{APP}")

    await manager.end_session(APP)
    await expect(page.get_by_text("has ended and is in the archive")).to_be_visible()
    await at(page, last + 4)
    await expect(page.get_by_role("heading", name="session_end")).to_be_visible()
    await manager.restore_session(APP)
    await expect(page.get_by_text("has ended and is in the archive")).to_have_count(0)
    await expect(page.locator(".facts .badge")).to_have_text("live")

    valkey.raw.set(f"AWI:SESSION:{APP}", b'{"half":', keepttl=True)
    await expect(page.get_by_text("not valid JSON")).to_be_visible()
    await at(page, last + 4)  # what is known stays
    put(valkey, encode(document([0, 0], APP)), APP)
    await at(page, 1)
    await expect(page.get_by_text("not valid JSON")).to_have_count(0)
