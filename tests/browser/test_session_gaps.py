"""The page of a session of which something is missing, does not fit, or cannot be read: it says so."""

from __future__ import annotations

from playwright.async_api import expect
from support.archives import saved, session, snapshot, stamp
from support.browser import Pages, visit
from support.documents import app_updated, document, put
from support.inspector import Inspector
from support.valkey import ValkeyServer
from test_session_page import at, press, rows_of

from awictl import StateManager
from awictl.document.byte_layout import encode


async def test_what_is_missing_is_said(
    open_page: Pages, inspector: Inspector, manager: StateManager, valkey: ValkeyServer
) -> None:
    cut = document([0] * 12, "sess_cut")
    cut["history"]["actions"] = cut["history"]["actions"][8:]
    cut["history"]["actions"][-1] |= {"delta": {"new": 1, "page_state": {"pagination": {"total_pages": 1}}}}
    cut["new"] = 1
    put(valkey, encode(cut), "sess_cut")
    odd = document([0] * 3, "sess_odd", a=5)  # an action set it to 1, and no other one changed it
    odd["history"]["actions"][1]["delta"]["a"] = 1
    put(valkey, encode(odd), "sess_odd")
    # of two writers, the second one overwrote what the first one did
    for count, name in ((1, "next_page"), (2, "search")):
        other = session(3, "sess_other")
        for number in range(count):
            app_updated(other, stamp(10 + number), action=name)
        await saved(manager.required_archive(), snapshot(other))

    page = await open_page(inspector, "/sessions/sess_other#t=3")
    await at(page, 3)
    row = page.get_by_role("option").filter(has_text="overwritten").first
    await expect(row).to_contain_text("next_page")
    await row.click()
    await expect(page.get_by_text("Another writer overwrote this action")).to_be_visible()
    await page.wait_for_url("**#t=3-1")

    await visit(page, "/sessions/sess_cut")
    await at(page, 11)
    await expect(page.locator(".facts dl")).to_contain_text("Missing8 actions (0–7)")
    assert "8 actions missing (0–7)" in (await page.locator("[role=option].gap").all_text_contents())[0]
    await press(page, "Home")
    await at(page, 8)
    await expect(page.locator(".changes")).to_contain_text("Earlier actions are missing: what this one changed is")
    rows = [one.replace("⋯", "") for one in await rows_of(page)]
    assert {"newnot known", "total_pagesnot known", 'agent_name"BrowserUseAgent"'} <= set(rows), rows
    await page.evaluate("location.hash = 't=5'")
    await expect(page.get_by_text("Action 5 is missing, as are all from 0 to 7.")).to_be_visible()

    await visit(page, "/sessions/sess_odd#t=1")
    await at(page, 1)
    await expect(page.get_by_text("Not sure: the present state does not fit the actions in 1 field.")).to_be_visible()
    assert [one for one in await rows_of(page) if one.startswith("a1") and "not sure" in one]

    await visit(page, "/sessions/sess_nowhere")
    await expect(page.get_by_role("alert")).to_contain_text("check that the id is complete")
    put(valkey, b"{", "sess_nowhere")
    await expect(page.get_by_role("alert")).to_contain_text("not valid JSON")
    await page.get_by_role("button", name="Load the stored string").click()
    await expect(page.locator(".raw pre")).to_have_text("{")
    put(valkey, encode(document([0], "sess_nowhere")), "sess_nowhere")
    await at(page, 0)
