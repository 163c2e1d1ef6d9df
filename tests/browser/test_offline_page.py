"""`session export --html` in a real browser that is offline: the page works, and nothing in its data does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.async_api import Page, expect
from support.browser import Pages
from support.documents import document

from awictl.document.redaction.rules import parse_redaction
from awictl.sessions.whole_session import whole_from_document
from awictl.ui.offline.page import page, session_copy

MADE = "2026-11-27T15:00:00.000Z"
HOSTILE = [
    "</script><script>document.title = 'script'</script>",
    "<!--<script>",
    "<img src=x onerror=\"document.title = 'image'\">",
    "javascript:document.title='link'",
    "${document.title = 'template'}",
    "\u202eltr\u2028\u200b\x1b[31m\x00",
    "https://elsewhere.example/pixel.gif",
    "__proto__",
    "constructor",
]
COUNT = 120


def hostile_session() -> dict[str, Any]:
    """A session with hostile texts in its fields, keys, actions and state, and with a number beyond 2^53."""
    made = document([0] * COUNT, "sess_offline", agent_name=HOSTILE[0], user_id=HOSTILE[2], current_url=HOSTILE[3])
    state = made["page_state"]
    for action in made["history"]["actions"][1:]:
        number = action["t"]
        text = HOSTILE[number % len(HOSTILE)]
        delta = {"page_state": {"filters": {"n": number, "mail": f"user{number}@example.org", text: text}}}
        action |= {"action": f"do {text}", "input": {text: [text]}, "observation": f"{text} {number}", "delta": delta}
        action["success"] = number % 7 != 0
        state["filters"] = {**state["filters"], **delta["page_state"]["filters"]}
    made["big"] = 2**63 - 1
    made["history"]["last_action"] = made["history"]["actions"][-1]
    return made


def write(folder: Path, made: dict[str, Any]) -> Path:
    """Write the page of a session to a file with an odd name."""
    path = folder / "100% <b> #1?.html"
    copy = session_copy(whole_from_document(made), parse_redaction(["default"]), MADE)
    path.write_bytes(b"".join(page(copy)))
    return path


async def state_of(shown: Page, ordinal: int) -> None:
    """Wait until the state after an action is shown."""
    await expect(shown.get_by_role("heading", name=f"State after action {ordinal}", exact=True)).to_be_visible()
    await expect(shown.get_by_role("group", name="State", exact=True)).to_contain_text(f"n{ordinal}changed")


async def test_the_page_of_a_hostile_session_works_without_a_network(open_page: Pages, tmp_path: Path) -> None:
    path = write(tmp_path, hostile_session())
    shown = await open_page.file(path, "#t=17")
    watch = open_page.watch(shown)
    banner = shown.get_by_role("banner").first
    await expect(banner).to_contain_text(f"A copy of session sess_offline, made {MADE}")
    await expect(banner).to_contain_text("Redacted values: email 119.")
    await state_of(shown, 17)
    await expect(shown.get_by_role("group", name="State", exact=True)).to_contain_text("mail\"<email-")
    await expect(shown.locator("body")).to_contain_text(str(2**63 - 1))

    # keys, the scrubber, and the address, which is the permalink
    for key, ordinal in (("ArrowRight", 18), ("PageDown", 38), ("ArrowLeft", 37)):
        await shown.keyboard.press(key)
        await state_of(shown, ordinal)
    await shown.wait_for_url("**#t=37")
    await shown.get_by_role("slider").fill("99")
    await state_of(shown, 99)
    await shown.wait_for_url("**#t=99")
    await shown.evaluate("location.hash = 't=20'")
    await state_of(shown, 20)
    for ordinal in range(21, 21 + len(HOSTILE)):
        await shown.keyboard.press("ArrowRight")
        await state_of(shown, ordinal)
    await shown.keyboard.press("End")
    await state_of(shown, COUNT - 1)

    # what is stored is text, and no link leads out of the file
    assert await shown.title() == "sess_offline (copy) · awictl"
    foreign = "img, iframe, object, embed, form, base, a[href]:not([href^='#']), link:not([href='data:,'])"
    assert await shown.locator(foreign).count() == 0
    assert await shown.locator("script").count() == 2
    assert "@example.org" not in await shown.content()
    assert (watch.requests, watch.problems) == ([path.as_uri()], [])
    for width in (320, 768, 2560):
        await shown.set_viewport_size({"width": width, "height": 700})
        assert await shown.evaluate("document.scrollingElement.scrollWidth") <= width


async def test_another_script_does_not_run_in_the_page(open_page: Pages, tmp_path: Path) -> None:
    """The policy is in force: what someone adds to the file is refused by the browser."""
    path = write(tmp_path, document([0, 0], "sess_offline"))
    added = "<script>document.title = 'added'</script><img src='https://elsewhere.example/a.gif'></body>"
    path.write_text(path.read_text(encoding="utf-8").replace("</body>", added), encoding="utf-8")
    shown = await open_page.file(path, expected=["script-src", "img-src", "elsewhere.example"])
    await expect(shown.get_by_role("slider")).to_be_visible()
    problems = open_page.watch(shown).problems
    assert any("CSP violation: script-src" in one for one in problems)
    assert any("CSP violation: img-src" in one for one in problems)
    assert "failed request: https://elsewhere.example/a.gif csp" in problems, problems
    assert await shown.title() == "sess_offline (copy) · awictl"
