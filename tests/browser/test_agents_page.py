"""The pages of agents in a real browser."""

from __future__ import annotations

from collections.abc import Callable

from support.api import APP_ID, APP_SECRET
from support.browser import Pages, settled
from support.cli import Cli
from support.documents import agent_key, document, put
from support.inspector import Inspector
from support.mongo import DATABASE, MongoServer
from support.proxy import proxied
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.document.byte_layout import encode


async def test_agents(
    valkey: ValkeyServer,
    mongo: MongoServer,
    manager: StateManager,
    operator: Cli,
    new_inspector: Callable[..., Inspector],
    open_page: Pages,
) -> None:
    from playwright.async_api import expect

    mongo.put("agentapikeys", "mongo_agentapikey.ejson")
    for name in ("crawler", "zebra"):
        await manager.agents.register(name, description=f"the {name}")
    await manager.agents.suspend("crawler", reason="too <b>fast")
    put(valkey, encode(document([0, 0], "sess_app", agent_id=APP_ID)), "sess_app")
    valkey.raw.set(agent_key(APP_ID), "sess_app", ex=5000)
    entry = {"agentName": "BrowserUseAgent", "operation": "create_post", "success": False, "error": "denied"}
    mongo.raw["agentauditlogs"].insert_one(entry | {"key": APP_SECRET})
    async with proxied(valkey) as proxy, proxied(mongo) as archive:
        uri = f"mongodb://127.0.0.1:{archive.port}/{DATABASE}?directConnection=true"
        inspector = new_inspector(user=operator.having(REDIS_PORT=str(proxy.port), MONGODB_URI=uri))
        page = await open_page(inspector, "/agents")
        await settled(page)
        names = page.locator("tbody tr td:first-child a")
        await expect(names).to_have_text(["zebra", "crawler", "BrowserUseAgent"])
        row = page.locator("tbody tr", has_text="BrowserUseAgent")
        await expect(row).to_contain_text("sess_app")
        await expect(row.locator("td").nth(4)).to_have_text("480")
        await expect(page.locator("tbody tr", has_text="crawler")).to_contain_text("until resumed: too <b>fast")

        # sorted, filtered and found; the address says how
        await page.get_by_role("button", name="Agent").click()
        await expect(names).to_have_text(["BrowserUseAgent", "crawler", "zebra"])
        await expect(page.get_by_role("columnheader", name="Agent")).to_have_attribute("aria-sort", "ascending")
        await page.get_by_role("button", name="Agent").click()
        await expect(names).to_have_text(["zebra", "crawler", "BrowserUseAgent"])
        await page.get_by_label("State").select_option("active")
        await page.get_by_label("Name or id").fill("brows")
        await expect(names).to_have_text(["BrowserUseAgent"])
        await expect(page).to_have_url(f"{inspector.url}/agents?q=brows&state=active&sort=name&reverse=1")
        await page.get_by_text("The same in a terminal").click()
        await expect(page.locator(".commands li").nth(1)).to_contain_text("awictl agent usage --sort name --reverse")

        # Redis away and back
        await proxy.cut_off()
        await page.get_by_role("button", name="Refresh").click()
        await expect(page.get_by_text("current sessions are not available")).to_be_visible()
        proxy.refusing = False
        await expect(page.get_by_text("current sessions are not available")).to_have_count(0)

        # one agent
        await names.click()
        await expect(page).to_have_url(f"{inspector.url}/agents/{APP_ID}")
        await expect(page.locator("h1")).to_have_text("Agent BrowserUseAgent")
        facts = page.locator("dl.facts")
        for fact in ("read, write", "1,000 requests per hour", "480 (app 480, awictl 0)"):
            await expect(facts).to_contain_text(fact)
        sessions = page.get_by_role("region", name="Sessions")
        await expect(sessions.get_by_role("link", name="sess_app")).to_have_attribute("href", "/sessions/sess_app")
        link = page.get_by_role("link", name="All sessions of this agent")
        assert await link.get_attribute("href") == f"/sessions?where=agent_id+%3D%3D+%22{APP_ID}%22"
        await page.get_by_text("Audit log and security events").click()
        await expect(page.locator(".audit tbody tr")).to_contain_text("denied")
        assert APP_SECRET not in await page.content()

        # the archive away and back
        await archive.cut_off()
        await page.get_by_role("button", name="Refresh").click()
        await expect(page.get_by_role("alert")).to_contain_text("The key is not known")
        await expect(sessions.get_by_role("link", name="sess_app")).to_be_visible()
        archive.refusing = False
        await expect(page.get_by_role("alert")).to_have_count(0)
        await expect(facts).to_be_visible()

        # what others do is seen
        await manager.agents.suspend(APP_ID, reason="stopped")
        await page.get_by_role("button", name="Refresh").click()
        await expect(page.locator(".badge.warn").first).to_have_text("suspended")
        await expect(page.get_by_role("region", name="Suspensions")).to_contain_text("stopped")

        # the link to its sessions finds them
        await link.click()
        await settled(page)
        await expect(page.get_by_role("row").filter(has_text="sess_app")).to_have_count(1)


async def test_without_an_archive(
    valkey: ValkeyServer, operator: Cli, new_inspector: Callable[..., Inspector], open_page: Pages
) -> None:
    """The page says what is needed; the current session of an agent is known all the same."""
    from playwright.async_api import expect

    put(valkey, encode(document([0, 0], "sess_app", agent_id=APP_ID)), "sess_app")
    valkey.raw.set(agent_key(APP_ID), "sess_app", ex=5000)
    user = Cli.at(operator.home, REDIS_HOST="127.0.0.1", REDIS_PORT=str(valkey.port))
    inspector = new_inspector(user=user)
    page = await open_page(inspector, "/agents", expected=["status of 409"])
    await expect(page.get_by_role("alert")).to_contain_text("AWI_ARCHIVE_URL")
    await page.goto(f"{inspector.url}/agents/{APP_ID}")
    await expect(page.get_by_role("status").filter(has_text="AWI_ARCHIVE_URL")).to_be_visible()
    await expect(page.get_by_role("link", name="sess_app")).to_be_visible()
