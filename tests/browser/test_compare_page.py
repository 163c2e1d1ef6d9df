"""The page `compare` in a real browser: it says what `awictl session compare` says, and leads to the differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from support.browser import Pages, settled
from support.cli import Cli
from support.documents import AGENT_ID, put, session_key
from support.inspector import Inspector
from support.proxy import proxied
from support.runs import FIRST, SECOND, did, put_two_runs, run
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.cli.session import compare_view
from awictl.document.byte_layout import encode

if TYPE_CHECKING:
    from playwright.async_api import Page

COMPARE = f"/compare?a={FIRST}&b={SECOND}"


async def texts(page: Page, selector: str) -> list[str]:
    """The texts of elements, with single spaces."""
    return [" ".join(one.split()) for one in await page.locator(selector).all_inner_texts()]


async def current(page: Page) -> list[str]:
    """The cells of the current line."""
    return await texts(page, "tr[aria-current=true] > td")


async def test_two_runs(valkey: ValkeyServer, manager: StateManager, inspector: Inspector, open_page: Pages) -> None:
    from playwright.async_api import expect

    put_two_runs(valkey)
    odd = valkey.raw.get(session_key(SECOND)).replace(AGENT_ID.encode(), rb"\ud800a/b")
    put(valkey, odd, SECOND)
    page = await open_page(inspector, COMPARE)
    await settled(page)
    agents = page.locator(".side a[href^='/agents/']")
    assert await agents.nth(1).get_attribute("href") == "/agents/%EF%BF%BDa%2Fb", "not even a part of a character"
    found = await manager.time_travel.compare(FIRST, SECOND)
    assert await texts(page, ".result p") == [*compare_view.sentences(found), compare_view.summary(found)]
    assert await texts(page, ".result tbody tr") == ["/page_state/route /a /b"]
    assert await texts(page, "section[aria-labelledby=end] tbody tr") == ["/page_state/route /a /b"]
    assert await texts(page, ".run-lines tbody tr") == [
        "0–2 … 3 equal 0–2 …",
        "3 open other outcome success, observation 3 failed open",
        "4 next other outcome delta 4 next",
        '5 search {"q":"awi"} different first divergence 5 sort',
        'only second 6 get_post {"id":7}',
        "6 end equal 7 end",
    ]
    await page.get_by_text("The same in a terminal").click()
    assert (await texts(page, ".commands code"))[0] == f"awictl session compare {FIRST} {SECOND}"

    # the keys: from the divergence to the differences before and after it
    assert (await current(page))[0] == "5"
    await page.keyboard.press("p")
    await expect(page).to_have_url(f"{inspector.url}{COMPARE}#first=3")
    assert (await current(page))[0] == "3"
    await expect(page.get_by_role("button", name="Previous")).to_be_disabled()
    await page.keyboard.press("n")
    await expect(page).to_have_url(f"{inspector.url}{COMPARE}#first=5")
    await page.get_by_role("button", name="Previous").click()
    await page.keyboard.press("f")
    assert (await current(page))[0] == "5"
    await page.keyboard.press("p")

    # the focus is on the button of the current line, which shows the actions in full
    await page.keyboard.press("Enter")
    await expect(page.locator(".step-details h3").first).to_be_visible()
    assert await texts(page, ".step-details tbody tr") == ["/success true false", "/observation 2 posts (absent)"]
    hrefs = [await one.get_attribute("href") for one in await page.locator(".step-details a").all()]
    assert hrefs == [f"/sessions/{FIRST}#t=3", f"/sessions/{SECOND}#t=3"]
    await page.keyboard.press("o")
    await expect(page.locator(".step-details")).to_have_count(0)

    # the actions that are folded
    await page.get_by_role("button", name="3 equal").click()
    await expect(page.locator(".run-lines tbody tr")).to_have_count(8)
    assert (await current(page))[0] == "0"
    await page.get_by_label("show all equal actions").uncheck()
    await expect(page.locator(".run-lines tbody tr")).to_have_count(6)

    # the form: letters typed there are no keys of the page; the sessions are suggested
    await page.get_by_role("button", name="Swap").click()
    await expect(page.locator(".side h2").first).to_have_text(f"First: {SECOND}")
    assert (await current(page))[:2] == ["5", "sort"]
    await page.get_by_label("Second", exact=True).fill(SECOND)
    await page.keyboard.press("End")
    await page.keyboard.type("pn")
    await expect(page.locator("#session-ids option")).to_have_count(2)
    await page.get_by_label("Second", exact=True).fill(f" {SECOND} ")
    await page.get_by_role("button", name="Compare", exact=True).click()
    await expect(page.locator(".result p").first).to_have_text("Both runs have the same actions.")

    # with one session only, others are offered
    await page.goto(f"{inspector.url}/compare?a={FIRST}")
    await page.get_by_role("link", name=SECOND).click()
    await expect(page.locator(".side h2").nth(1)).to_have_text(f"Second: {SECOND}")

    # an address that names an action; and one of which there is no session
    await page.goto(f"{inspector.url}{COMPARE}#second=6")
    await settled(page)
    assert await current(page) == ["", "", "only second", "6", 'get_post {"id":7}']


async def test_long_runs_and_an_outage(
    valkey: ValkeyServer, operator: Cli, new_inspector: Callable[..., Inspector], open_page: Pages
) -> None:
    """The part with the divergence is shown first; keys lead to other parts; and Redis may go and come back."""
    from playwright.async_api import expect

    same = [did(f"{number}") for number in range(1200)]
    others = [one | {"success": number not in (5, 1100)} for number, one in enumerate(same)]
    put(valkey, encode(run(FIRST, [*same[:700], did("x"), *same[700:]])), FIRST)
    put(valkey, encode(run(SECOND, others)), SECOND)
    async with proxied(valkey) as proxy:
        user = Cli.at(operator.home, REDIS_HOST="127.0.0.1", REDIS_PORT=str(proxy.port))
        page = await open_page(new_inspector(user=user), f"{COMPARE}&all=1", expected=["status of 503"])
        await settled(page)
        lines = page.locator(".parts [role=status]")
        await expect(lines).to_have_text("Lines 652 to 1,151 of 1,202")
        assert (await current(page))[:3] == ["701", "x", "only first first divergence"]
        said = "The first divergence is at action 701: the first did x, the second 700."
        await expect(page.locator(".result p").first).to_have_text(said)
        await page.keyboard.press("p")
        await expect(lines).to_have_text("Lines 1 to 500 of 1,202")
        await expect(page.locator("tr[aria-current=true] > td").first).to_have_text("6")
        await page.keyboard.press("n")
        await expect(lines).to_have_text("Lines 652 to 1,151 of 1,202")
        await page.keyboard.press("n")
        await expect(page.locator("tr[aria-current=true] > td").first).to_have_text("1102")
        await expect(page.locator("tr[aria-current=true]")).to_be_in_viewport()
        await page.get_by_role("button", name="Later lines").click()
        await expect(lines).to_have_text("Lines 1,152 to 1,202 of 1,202")

        await proxy.cut_off()
        await page.get_by_role("button", name="Compare again").click()
        await expect(page.get_by_role("alert")).to_contain_text("Unreachable")
        await expect(page.locator(".run-lines")).to_be_visible()
        proxy.refusing = False
        await expect(page.get_by_role("alert")).to_have_count(0)
