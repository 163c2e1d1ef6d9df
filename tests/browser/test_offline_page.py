"""`session export --html` in a real browser that is offline: the page works, and nothing in its data does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect
from support import ui_hostile
from support.browser import Pages, harm, settled, until, violations
from support.documents import document
from support.ui_hostile import HOSTILE

from awictl.document.redaction.rules import parse_redaction
from awictl.sessions.whole_session import whole_from_document
from awictl.ui.offline.page import page, session_copy

MADE = "2026-11-27T15:00:00.000Z"
COUNT = 120
#: What a script that got into the page would try: to send something, and to become markup.
BREAK_OUT = """async () => [
  await fetch("https://elsewhere.example/").catch((error) => error.name),
  (() => { try { document.body.innerHTML = "<b>"; } catch (error) { return error.name; } })(),
]"""


def busy_session() -> dict[str, Any]:
    """A session with hostile texts, mail addresses, and a number beyond 2^53."""
    made = document([0] * COUNT, "sess_offline")
    state = made["page_state"]
    for action in made["history"]["actions"][1:]:
        number, text = action["t"], HOSTILE[action["t"] % len(HOSTILE)]
        delta = {"page_state": {"filters": {"n": number, "mail": f"user{number}@example.org", "text": text}}}
        action |= {"action": text, "input": {text: [text]}, "observation": f"{text} {number}", "delta": delta}
        action["success"] = number % 7 != 0
        state["filters"] = {**state["filters"], **delta["page_state"]["filters"]}
    made["big"] = 2**63 - 1
    made["history"]["last_action"] = made["history"]["actions"][-1]
    return made


def write(path: Path, made: dict[str, Any], *, redact: bool = True) -> Path:
    """Write the page of a session to a file."""
    redaction = parse_redaction(["default"]) if redact else None
    copy = session_copy(whole_from_document(made), redaction, MADE)
    path.write_bytes(b"".join(page(copy)))
    return path


async def state_of(shown: Page, ordinal: int) -> None:
    """Wait until the state after an action is shown."""
    await expect(shown.get_by_role("heading", name=f"State after action {ordinal}", exact=True)).to_be_visible()
    await expect(shown.get_by_role("group", name="State", exact=True)).to_contain_text(f"n{ordinal}changed")


async def test_a_page_works_without_a_network(open_page: Pages, tmp_path: Path) -> None:
    path = write(tmp_path / "100% <b> #1?.html", busy_session())
    shown = await open_page.file(path, "#t=17")
    watch = open_page.watch(shown)
    banner = shown.get_by_role("banner").first
    await expect(banner).to_contain_text(f"A copy of session sess_offline, made {MADE}")
    await expect(banner).to_contain_text("Redacted values: email 119.")
    await state_of(shown, 17)
    state = shown.get_by_role("group", name="State", exact=True)
    await expect(state).to_contain_text('mail"<email-')
    await expect(state).to_contain_text(f"big{2**63 - 1}")

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
    await shown.keyboard.press("End")
    await state_of(shown, COUNT - 1)

    # no link leads out of the file, and nothing was asked of anyone
    assert await shown.title() == "sess_offline (copy) · awictl"
    assert await shown.locator("a[href]:not([href^='#'])").count() == 0
    assert "@example.org" not in await shown.content()
    assert (watch.requests, watch.problems) == ([path.as_uri()], [])


async def check_hostile(open_page: Pages, path: Path, session_ids: Sequence[str]) -> None:
    """Look at pages of hostile sessions, unredacted and with a hostile address, at their first and their last step."""
    sessions, found = ui_hostile.sessions(), {}
    for session_id in session_ids:
        shown = await open_page.file(write(path, sessions[session_id], redact=False), "#t=%")
        await settled(shown)
        for key in ("End", "Home"):
            await shown.keyboard.press(key)
            found[f"{session_id} {key}"] = await harm(shown, scripts=2)
    assert not {place: what for place, what in found.items() if what}


async def test_hostile_text_in_a_page_is_only_text(open_page: Pages, tmp_path: Path) -> None:
    await check_hostile(open_page, tmp_path / "page.html", [ui_hostile.PLAIN, ui_hostile.LARGE])


@pytest.mark.soak
async def test_no_hostile_session_does_harm_to_its_page(open_page: Pages, tmp_path: Path) -> None:
    await check_hostile(open_page, tmp_path / "page.html", ui_hostile.SESSIONS)


async def test_a_page_is_accessible_and_its_policy_is_in_force(open_page: Pages, tmp_path: Path) -> None:
    path = write(tmp_path / "page.html", document([0, 0], "sess_offline"))
    shown = await open_page.file(path, bypass_csp=True)  # axe-core could not run under the policy
    await settled(shown)
    for scheme, width in (("light", 1280), ("dark", 320)):
        await shown.set_viewport_size({"width": width, "height": 800})
        await shown.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert await violations(shown) == [], scheme

    added = "<script>document.title = 'added'</script><img src='https://elsewhere.example/a.gif'></body>"
    path.write_text(path.read_text(encoding="utf-8").replace("</body>", added), encoding="utf-8")
    shown = await open_page.file(path, expected=["-src", "TrustedHTML|trusted-types", "elsewhere.example"])
    await settled(shown)
    assert await shown.evaluate(BREAK_OUT) == ["TypeError", "TypeError"]
    problems = open_page.watch(shown).problems
    wanted = [f"CSP violation: {one}" for one in ("script-src", "img-src", "connect-src", "require-trusted-types-for")]
    wanted.append("failed request: https://elsewhere.example/a.gif csp")
    await until(lambda: all(any(text in one for one in problems) for text in wanted))
    assert await shown.title() == "sess_offline (copy) · awictl"
