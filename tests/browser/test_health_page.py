"""The page "Health": findings, when keys expire, what takes the memory; and what is there while Redis is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from support.browser import Pages
from support.cli import LIMIT_SECONDS, Cli
from support.documents import compact, document, put
from support.inspector import Inspector
from support.proxy import Proxy, proxied
from support.valkey import ValkeyServer

if TYPE_CHECKING:
    from playwright.async_api import Page

HOSTILE = "sess_<script>alert(1)</script>\u202e"


async def test_findings_and_charts_also_while_redis_is_away(
    open_page: Pages, new_inspector: Callable[..., Inspector], operator: Cli, valkey: ValkeyServer
) -> None:
    async with proxied(valkey) as proxy:
        user = operator.having(REDIS_PORT=str(proxy.port)).lacking("MONGODB_URI")
        await _visit(open_page, new_inspector(user=user), valkey, proxy)


async def _visit(open_page: Pages, inspector: Inspector, valkey: ValkeyServer, proxy: Proxy) -> None:
    from playwright.async_api import expect

    put(valkey, compact(document([1])), seconds=30)
    put(valkey, compact(document([1], "sess_b")), "sess_b", seconds=1_000)
    put(valkey, b'{"session_id":', "sess_broken", seconds=1_000)
    valkey.raw.set(f"AWI:SESSION:{HOSTILE}", b"{", px=900_000)
    valkey.raw.set("AWI:DIFF:sess_gone", b"{}", px=100_000)
    page = await open_page(inspector, "/health")

    findings = page.locator(".finding")
    await expect(findings.first.locator("h3")).to_have_text("failed documents")
    documents = page.locator('[data-check="documents"]')
    await expect(documents).to_contain_text("sess_<script>alert(1)</script>\\u202e")
    await expect(documents.get_by_role("link", name="show session sess_broken")).to_have_attribute(
        "href", "/sessions/sess_broken"
    )
    diffs = page.locator('[data-check="diffs"]')
    await expect(diffs.locator(".remedy")).to_contain_text("run awictl doctor --fix")
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await diffs.get_by_role("button", name="copy the command awictl doctor --fix").click()
    await expect(diffs).to_contain_text("copied")
    assert await page.evaluate("navigator.clipboard.readText()") == "awictl doctor --fix"
    await expect(page.locator(".counts")).to_contain_text("1 failed")
    await page.get_by_text("checks passed").click()
    await expect(page.get_by_role("rowheader", name="reachable")).to_be_visible()

    expiries = page.locator(".expiries")
    await expect(expiries.locator("tbody tr")).to_have_text(
        ["10 s to 1 min1", "1 min to 5 min0", "5 min to 10 min0", "10 min to 20 min3"]
    )
    widths = await expiries.locator("rect").evaluate_all("all => all.map((one) => one.getAttribute('width'))")
    assert [width[:4] for width in widths] == ["33.3", "0%", "0%", "100%"]
    await expiries.get_by_label("Kind of key").select_option("diff")
    await expect(expiries.locator("tbody tr")).to_have_text(["1 min to 5 min1"])
    memory = page.get_by_role("region", name="Memory by kind of key").locator("tbody tr")
    await expect(memory.first).to_contain_text("session")
    await page.get_by_role("button", name="Check again").click()
    await expect(page.get_by_text("not scanned more often than every ten seconds")).to_be_visible()

    # Redis goes away and comes back, and the page notices
    await page.clock.install()
    await page.reload()
    await expect(documents).to_be_visible()
    await expect(memory.first).to_contain_text("session")
    await proxy.cut_off()
    reachable = page.locator('[data-check="reachable"]')
    await _ask_until(page, reachable.is_visible)
    await expect(reachable.locator("h3")).to_have_text("failed reachable")
    await expect(documents).to_be_visible()  # what was found before stays, and says how old it is
    await expect(memory.first).to_contain_text("session")
    proxy.refusing = False
    await _ask_until(page, reachable.is_hidden)
    await expect(page.locator(".counts")).to_contain_text("1 failed")


async def _ask_until(page: Page, condition: Callable[[], Awaitable[bool]]) -> None:
    """Let the page ask the server, which checks the servers at most every two seconds, until a condition holds."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not await condition():
        assert time.monotonic() < deadline, "the condition never held"
        await page.clock.fast_forward(11_000)  # it asks every ten seconds
        await asyncio.sleep(0.1)
