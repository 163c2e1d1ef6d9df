"""The page "Caches": what is cached, one entry, and why a query is not cached."""

from __future__ import annotations

import json
from urllib.parse import quote

from support.browser import Pages
from support.inspector import Inspector
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.query_cache.cache_key import cache_key

FILTERS, SORT = {"tag": "awi", "page": 2}, {"key": "date", "order": "desc"}
KEY = cache_key(FILTERS, SORT)
HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[2J</script>"


async def test_what_is_cached_and_why_a_query_is_not(
    open_page: Pages, inspector: Inspector, manager: StateManager, valkey: ValkeyServer
) -> None:
    from playwright.async_api import expect

    session_id = (await manager.initialize_session("a", "A"))["session_id"]
    await manager.cache_query_results(session_id, FILTERS, SORT, [{"title": HOSTILE, "id": 2**53 + 1}])
    valkey.raw.set(f"AWI:CACHE:LIST:{HOSTILE}", b"[1]")
    valkey.raw.set("AWI:CACHE:LIST:" + "0" * 32, b"[1", px=200_000)

    page = await open_page(inspector, "/caches", expected=["404", "400"])
    table = page.get_by_role("region", name="Table of cached queries")
    rows = table.locator("tbody tr")
    await expect(rows).to_have_count(3)
    # what never expires is first; its key is text, and no link
    await expect(rows.first).to_contain_text("<img src=x onerror=alert(1)>\\u202e\\x1b[2J</script>")
    await expect(rows.first.get_by_role("link")).to_have_count(0)
    own = rows.filter(has_text=KEY)
    await expect(own).to_contain_text('{"tag":"awi","page":2}')
    await expect(own.get_by_role("link", name=session_id)).to_have_attribute("href", f"/sessions/{session_id}")
    await expect(rows.filter(has_text="0" * 32)).to_contain_text("unreadable")
    before = await own.locator("td").nth(1).inner_text()
    await expect(own.locator("td").nth(1)).not_to_have_text(before)  # it counts down
    await table.get_by_role("button", name="Size").click()
    await expect(table.locator("th[aria-sort=descending]")).to_have_text("Size ▾")
    await expect(rows.first).to_contain_text(KEY)
    await page.get_by_label("Find").fill("tag")
    await expect(rows).to_have_count(1)

    # a miss because of the order of the keys, by keyboard; its address is a permanent link
    await page.get_by_text("Why is a query not cached?").click()
    await page.get_by_label("Filters (JSON)").fill('{"page":2,"tag":"awi"}')
    await page.get_by_label("Sort order (JSON)").fill('{"key":"date","order":"desc"}')
    await page.get_by_role("button", name="Diagnose").press("Enter")
    found = page.locator(".found")
    await expect(page.get_by_role("button", name="Diagnose")).to_be_focused()
    await expect(found.locator(".verdict")).to_contain_text("not cached cached under another key")
    await expect(found).to_contain_text("the same keys in another order")
    await expect(found).to_contain_text("Send the keys in one order")
    await found.get_by_text("The same in a terminal").click()
    command = """awictl cache diagnose --filters '{"page":2,"tag":"awi"}' --sort '{"key":"date","order":"desc"}'"""
    await expect(found.get_by_text(command)).to_be_visible()
    assert "filters=%7B%22page%22" in page.url
    await page.reload()
    await expect(found).to_contain_text("the same keys in another order")
    await page.get_by_label("Filters (JSON)").fill("{")
    await page.get_by_role("button", name="Diagnose").click()
    await expect(page.get_by_role("alert")).to_contain_text("filters is not valid JSON")
    await expect(found).to_have_count(0)
    await page.go_back()
    await page.get_by_label("or the query of a session").fill(session_id)
    await page.get_by_role("button", name="Diagnose").click()
    await expect(found.locator(".verdict .ok")).to_have_text("cached")

    # a stored query cannot offer a command
    trap = {"q": "`awictl agent erase`"}
    await manager.cache_query_results(session_id, trap, {}, [])
    await page.goto(f"{inspector.url}/caches?filters={quote(json.dumps({'q': ['`awictl agent erase`']}))}")
    await expect(found.locator(".verdict")).to_contain_text("awictl agent erase")
    await expect(found.get_by_role("button", name="copy the command awictl agent erase")).to_have_count(0)
    await manager.cache_query_results(session_id, FILTERS, SORT, [{"title": HOSTILE, "id": 2**53 + 1}])
    await page.goto(f"{inspector.url}/caches?session={session_id}")

    # one entry, until it is gone
    await page.clock.install()
    await found.get_by_role("link", name=KEY).click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text(KEY)
    results = page.get_by_label("Results", exact=True)
    await expect(results).to_contain_text('"<img src=x onerror=alert(1)>')
    await expect(results).to_contain_text(str(2**53 + 1))
    await expect(page.get_by_role("link", name=session_id)).to_be_visible()
    await manager.cache.delete([KEY])
    await page.clock.fast_forward(11_000)  # it looks again every ten seconds
    await expect(page.locator(".notice.warn")).to_contain_text("not cached any more")
    await expect(results).to_contain_text(str(2**53 + 1))
    await page.goto(f"{inspector.url}/caches/{KEY}?session={session_id}")
    await page.get_by_role("link", name="Why is it not cached?").click()
    await expect(found.locator(".verdict")).to_contain_text("deleted or evicted before it expired")
    await expect(found.get_by_role("link", name=session_id)).to_be_visible()
    await page.go_back()
    await page.get_by_role("link", name="All cached queries").click()
    await expect(page.get_by_role("heading", level=1, name="Caches")).to_be_visible()
    await page.goto(f"{inspector.url}/caches/nothing")
    await expect(page.get_by_role("alert")).to_contain_text("is not a cache key")
