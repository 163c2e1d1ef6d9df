"""Speed of the web inspector in a real Chromium, and the memory of its server.

On private servers: the steps of the scrubber on a session of 5,000 actions, from the key to the next frame; the time
from the navigation to the first rows of a list of 200,000 sessions; the time from the start of a write to the frame
that shows it, on the page of a session and in that list; and the memory of the server with 1 and with 50 pages open,
whose streams are read as pages do, while sessions change. Needs Chromium (Debian's package `chromium`).

    uv run python benchmarks/ui_speed.py [--actions 5000] [--sessions 200000] [--pages 50] [--seconds 60]
    uv run python benchmarks/ui_speed.py --only scrubber|list|live|memory
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from list_speed import fill
from playwright.async_api import Page, async_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.browser import Pages, chromium_program, settled
from support.cli import Cli
from support.documents import put
from support.inspector import Inspector, inspecting
from support.ui_story import story
from support.valkey import ValkeyServer

from awictl import StateManager

LONG, BUSY = "sess_long", "sess_busy"
STEPS = 400
WRITES = 40
#: A row of the list of sessions that shows a session.
ROW = "main [role=row] a"
#: Resolves when the next frame has been painted.
_FRAME = """
const frame = () => new Promise((resolve) => requestAnimationFrame(() => {
  const {port1, port2} = new MessageChannel();
  port1.onmessage = resolve;
  port2.postMessage(null);
}));
"""
_SCRUB = f"""async ({{count, keys}}) => {{
  {_FRAME}
  const times = [];
  for (let number = 0; number < count; number++) {{
    await frame();
    const start = performance.now();
    const key = keys[number % keys.length];
    document.body.dispatchEvent(new KeyboardEvent("keydown", {{key, bubbles: true, cancelable: true}}));
    await frame();
    times.push(performance.now() - start);
  }}
  return times;
}}"""
_JUMP = f"""async (positions) => {{
  {_FRAME}
  const times = [];
  const range = document.querySelector("main input[type=range]");
  const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
  for (const position of positions) {{
    await frame();
    const start = performance.now();
    set.call(range, position);
    range.dispatchEvent(new Event("input", {{bubbles: true}}));
    await frame();
    times.push(performance.now() - start);
  }}
  return times;
}}"""
#: The time at which a text is in a frame.
_SHOWN = f"""async (text) => {{
  {_FRAME}
  while (!document.querySelector("main").textContent.includes(text)) await frame();
  return Date.now();
}}"""
#: Records when the first rows are in a frame, from the start of the navigation.
_FIRST_ROWS = f"""(() => {{
  {_FRAME}
  const look = async () => {{
    while (!document.querySelector({ROW!r})) await frame();
    window.firstRows = performance.now();
  }};
  look();
}})()"""


def percentile(times: list[float], share: float) -> float:
    """A percentile of some times."""
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def show(what: str, times: list[float]) -> None:
    """Print a line about times in milliseconds."""
    p50, p95 = statistics.median(times), percentile(times, 0.95)
    print(f"{what:<62} p50 {p50:6.1f} ms   p95 {p95:6.1f} ms   max {max(times):6.1f} ms   ({len(times)})", flush=True)


async def scrubber(pages: Pages, inspector: Inspector, server: ValkeyServer, actions: int) -> None:
    """Steps and jumps on a long session."""
    put(server, story(LONG, "agent", "Long runner", datetime.now(UTC), count=actions), LONG, 100_000)
    started = time.monotonic()
    page = await pages(inspector, f"/sessions/{LONG}")
    await settled(page)
    print(f"session of {actions:,} actions: shown after {time.monotonic() - started:.2f} s")
    position = page.locator("main input[type=range]")
    for keys in (["ArrowLeft"], ["ArrowRight"], ["PageUp"], ["Home", "End"]):
        before = await position.input_value()
        show(f"scrubber: {' and '.join(keys)}", await page.evaluate(_SCRUB, {"count": STEPS, "keys": keys}))
        assert await position.input_value() != before or "End" in keys, "the keys have no effect"
    positions = [(number * 7919) % actions for number in range(STEPS)]
    show("scrubber: jumps to anywhere", await page.evaluate(_JUMP, positions))


async def first_rows(pages: Pages, inspector: Inspector, sessions: int) -> None:
    """The first rows of the list, right after the server has started to read it, and when it has."""
    for what in ("first page", "further page", "further page"):
        page = await pages.page(inspector.url)
        await page.context.add_init_script(_FIRST_ROWS)
        await pages.sign_in(page, inspector)
        await page.goto(f"{inspector.url}/sessions")
        await page.wait_for_selector(ROW)
        shown = 0.0
        while not shown:
            shown = await page.evaluate("window.firstRows || 0")
        print(f"list of {sessions:,} sessions, {what}: first rows after {shown / 1000:.2f} s", flush=True)
        await asyncio.sleep(3)


async def latency(page: Page, manager: StateManager, session_id: str, what: str) -> None:
    """The time from the start of a write to the frame that shows it."""
    times = []
    for number in range(WRITES):
        text = f"/shown/{what.split()[0]}{number}."
        shown = asyncio.ensure_future(page.evaluate(_SHOWN, text))
        await asyncio.sleep(0.05 + number % 7 * 0.03)  # at any moment between two looks of the server
        started = time.time()
        delta = {"page_state": {"route": text}, "current_url": text}
        await manager.update_state_with_delta(session_id, delta, {"action": "search"})
        times.append(await shown - started * 1000)
    show(what, times)


async def live(pages: Pages, inspector: Inspector, server: ValkeyServer, manager: StateManager) -> None:
    """Updates on the page of a session, and in the list."""
    put(server, story(BUSY, "agent", "Busy", datetime.now(UTC), count=200), BUSY, 100_000)
    page = await pages(inspector, f"/sessions/{BUSY}")
    await settled(page)
    await latency(page, manager, BUSY, "session page: from the write to the frame")
    page = await pages(inspector, "/sessions")
    await page.wait_for_selector(ROW)
    await asyncio.sleep(10)  # the list has been read
    session_id = (await page.locator(ROW).first.get_attribute("href") or "").rpartition("/")[2]
    await latency(page, manager, session_id, "list: from the write to the frame")


async def _follow(client: httpx.AsyncClient, path: str) -> None:
    async with client.stream("GET", path) as response:
        assert response.status_code == 200, path
        async for _ in response.aiter_bytes():
            pass


async def memory(inspector: Inspector, manager: StateManager, pages: int, seconds: float) -> None:
    """The server's memory while streams are open that change."""
    paths = ["/api/sessions/events?limit=100", f"/api/sessions/{BUSY}/events", f"/api/sessions/{LONG}/events"]
    limits = httpx.Limits(max_connections=None)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=inspector.url, cookies=inspector.cookies, limits=limits, timeout=60)
        )
        tasks: list[asyncio.Task[None]] = []
        for target in (1, pages, pages):
            while len(tasks) < target:
                tasks.append(asyncio.ensure_future(_follow(client, paths[len(tasks) % len(paths)])))
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                await manager.update_state_with_delta(BUSY, {"n": time.time()}, {"action": "search"})
                await asyncio.sleep(0.2)
            assert not any(task.done() for task in tasks), [task for task in tasks if task.done()][:1]
            print(
                f"memory of the server, {len(tasks):>2} pages, {seconds:.0f} s: {inspector.rss() >> 20} MiB", flush=True
            )
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(15)
    print(f"memory of the server, 15 s after the last page: {inspector.rss() >> 20} MiB", flush=True)


async def measure(arguments: argparse.Namespace) -> None:
    """Run all parts, or one."""

    def wanted(part: str) -> bool:
        return arguments.only in (None, part)

    with ExitStack() as stack:
        server = stack.enter_context(ValkeyServer())
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="awi-"))
        user = Cli.at(Path(home) / "home", REDIS_SOCKET=str(server.socket)).having(AWI_ARCHIVE_URL="sqlite:///a.db")
        async with StateManager.open(server.settings()) as manager, async_playwright() as playwright:
            options: dict[str, Any] = {"args": ["--no-sandbox", "--disable-dev-shm-usage"]}
            browser = await playwright.chromium.launch(executable_path=chromium_program(), **options)
            pages = Pages(browser)
            if wanted("scrubber"):
                with inspecting(user) as inspector:
                    await scrubber(pages, inspector, server, arguments.actions)
                await pages.close()
            if arguments.only != "scrubber":
                fill(server, arguments.sessions)
            if wanted("list"):
                with inspecting(user) as inspector:
                    await first_rows(pages, inspector, arguments.sessions)
                await pages.close()
            if wanted("live"):
                with inspecting(user) as inspector:
                    await live(pages, inspector, server, manager)
                await pages.close()
            await browser.close()
            if wanted("memory"):
                put(server, story(BUSY, "agent", "Busy", datetime.now(UTC), count=200), BUSY, 100_000)
                put(server, story(LONG, "agent", "Long", datetime.now(UTC), count=arguments.actions), LONG, 100_000)
                with inspecting(user) as inspector:
                    await memory(inspector, manager, arguments.pages, arguments.seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actions", type=int, default=5_000)
    parser.add_argument("--sessions", type=int, default=200_000)
    parser.add_argument("--pages", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", choices=["scrubber", "list", "live", "memory"])
    asyncio.run(measure(parser.parse_args()))
