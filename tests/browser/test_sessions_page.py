"""The page of all sessions: its rows, keys, filter, and orders; and what it says while Redis is away."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from support.browser import Pages
from support.cli import Cli
from support.documents import document, put
from support.inspector import Inspector
from support.mongo import MongoServer
from support.proxy import proxied
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.document.byte_layout import encode

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

#: The sessions that most of the list consists of.
COUNT = 500

#: What is wrong with the places of rows, of lists of several lengths at several scroll positions.
PLACES = """async () => {
  const {placement} = await import("/static/widgets/virtual_list.js");
  const wrong = [];
  for (const total of [0, 1, 15, 16, 17, 5000, 200000, 3000000, 100000000]) {
    const [height, row] = [600, 36];
    const most = Math.max(0, placement(total, 0, height, row).scrolled - height);
    let before = 0;
    for (let part = 0; part <= 50; part += 1) {
      const top = (most * part) / 50;
      const {scrolled, first, last, offset} = placement(total, top, height, row);
      const found = [
        scrolled <= 8000000,
        total === 0 || (offset(first) <= top && offset(first) + row > top),
        total * row < height || (offset(last) < top + height && offset(last) + row >= top + height),
        offset(last) - offset(first) === (last - first) * row,
        part || first === 0,
        part < 50 || last === Math.max(0, total - 1),
        first >= before,
      ];
      before = first;
      if (!found.every(Boolean)) wrong.push([total, part, top, first, last, found]);
    }
  }
  return wrong;
}"""


def fill(valkey: ValkeyServer) -> None:
    """Sessions `sess_000` and so on: the first is the oldest one, and has the most failed actions."""
    for number in range(COUNT):
        made = document([1], f"sess_{number:03}", agent_id=f"id-{number}", agent_name=f"agent-{number}")
        made["statistics"] |= {"failed_actions": max(0, 3 - number), "total_actions": number}
        made["statistics"]["last_activity"] = f"2026-11-20T10:{number // 60:02}:{number % 60:02}.000Z"
        put(valkey, encode(made), f"sess_{number:03}", seconds=900 + number)


def row(page: Page, number: int) -> Locator:
    """A row of the list, counted from 1."""
    return page.locator(f'.virtual [role="row"][aria-rowindex="{number + 1}"]')


async def test_the_list(
    open_page: Pages,
    new_inspector: Callable[..., Inspector],
    operator: Cli,
    manager: StateManager,
    valkey: ValkeyServer,
    mongo: MongoServer,
) -> None:
    from playwright.async_api import expect

    fill(valkey)
    put(valkey, b"{", "sess_broken", seconds=60)
    ended = (await manager.initialize_session("gone", "Night crawler", "/night"))["session_id"]
    await manager.end_session(ended)
    async with proxied(valkey) as proxy:
        inspector = new_inspector(user=operator.having(REDIS_PORT=str(proxy.port)))
        page = await open_page(inspector, "/sessions", expected=["status of 400"])
        grid = page.get_by_role("grid", name="Sessions")
        await expect(page.locator("[data-count]")).to_have_text(f"{COUNT + 2} sessions")
        await expect(grid).to_have_attribute("aria-rowcount", str(COUNT + 3))

        # live and archived sessions are in one list, and what cannot be read is in it, too
        await expect(row(page, 1)).to_contain_text(re.compile(rf"{ended}Night crawler/night.*archived", re.DOTALL))
        await expect(row(page, 2)).to_contain_text(re.compile(r"sess_499agent-499.*499.*live", re.DOTALL))
        await expect(row(page, 2).locator(".cell-ttl")).to_have_text(re.compile(r"^2[23]:\d\d$"))
        await expect(row(page, 2).locator(".cell-activity time")).to_have_attribute(
            "datetime", "2026-11-20T10:08:19.000Z"
        )

        # keys
        await grid.focus()
        await page.keyboard.press("End")
        last = row(page, COUNT + 2)
        await expect(last).to_have_attribute("aria-selected", "true")
        await expect(last).to_contain_text(re.compile("sess_broken.*unreadable", re.DOTALL))
        await expect(grid).to_have_attribute("aria-activedescendant", f"row-{COUNT + 1}")
        rows = page.locator('.virtual [role="row"]')
        assert await rows.count() < 60, "only the rows on the screen are in the document"
        await page.keyboard.press("PageUp")
        await page.keyboard.press("ArrowUp")
        await expect(page.locator('[aria-selected="true"]')).to_contain_text("sess_01")
        await page.keyboard.press("Home")
        await page.keyboard.press("ArrowDown")
        await expect(row(page, 2)).to_have_attribute("aria-selected", "true")
        await page.get_by_text("The same in a terminal").click()
        await expect(page.locator(".commands")).to_contain_text("awictl session show sess_499")

        # orders: an address for each
        await grid.get_by_role("button", name="Failed").click()
        await expect(row(page, 1)).to_contain_text("sess_000")
        await expect(row(page, 1).locator(".cell-failed")).to_have_text("3 ✕")
        await expect(page).to_have_url(re.compile(r"/sessions\?sort=failed$"))
        await expect(page.get_by_role("columnheader", name="Failed")).to_have_attribute("aria-sort", "descending")
        await expect(page.locator(".commands")).to_contain_text("awictl session list --all --sort failed")

        # the filter: what is wrong with it, and where
        field = page.get_by_label("Filter")
        await field.fill("failed > 0 and agnet == 'x'")
        await expect(page.get_by_role("alert")).to_contain_text("At column 16: there is no field agnet")
        await expect(page.locator(".where-field mark")).to_have_text("a")
        await expect(field).to_have_attribute("aria-invalid", "true")
        await expect(row(page, 1)).to_contain_text("sess_000")
        await field.fill("failed > 100")
        await expect(page.get_by_text("No session matches this filter.")).to_be_visible()
        await field.fill("failed > 0")
        await expect(page.locator("[data-count]")).to_have_text(f"3 sessions of {COUNT + 2} match")
        await expect(field).to_be_focused()
        await expect(page.locator(".commands")).to_contain_text("awictl session list --all --where 'failed > 0' --sort")
        await page.reload()
        await expect(page.get_by_label("Filter")).to_have_value("failed > 0")
        await expect(grid).to_have_attribute("aria-rowcount", "4")

        # what changes appears; a new session is in the place that the order gives it
        await manager.update_state_with_delta("sess_002", {"page_state": {"route": "/now"}}, {"success": False})
        await expect(page.locator(".virtual")).to_contain_text(re.compile(r"/now\s*3\s*2 ✕", re.DOTALL))
        await expect(row(page, 2)).to_contain_text(re.compile("sess_00[12]"))
        await page.get_by_label("archived sessions, too").uncheck()
        await expect(page).to_have_url(re.compile("archived=0"))
        await expect(page.locator("[data-count]")).to_have_text(f"3 sessions of {COUNT + 1} match")

        # Redis goes away, and comes back
        await proxy.cut_off()
        notice = page.locator(".notice.warn")
        await expect(notice).to_contain_text("live sessions are as they were")
        await expect(row(page, 1)).to_contain_text("sess_000")
        proxy.refusing = False
        await expect(notice).to_have_count(0)

        # a list that is longer than a browser can scroll: every row can be reached, and is where the scroll bar is
        assert await page.evaluate(PLACES) == []

        # a row opens its session, and the list is at the same place afterwards
        await grid.focus()
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await expect(page).to_have_url(re.compile("/sessions/sess_00[12]$"))
        await expect(page.get_by_role("main")).to_be_focused()
        await page.go_back()
        await expect(row(page, 2)).to_have_attribute("aria-selected", "true")
