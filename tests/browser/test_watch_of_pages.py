"""The tests of pages notice what a page must not do: otherwise, none of them would prove anything."""

from __future__ import annotations

from typing import Any

import pytest
from support.browser import Pages, until

POLICY = "default-src 'none'; script-src 'self'; connect-src *; require-trusted-types-for 'script'"
ORIGIN = "http://inspector.test"
MODULE = """
setTimeout(() => { throw new Error("thrown"); });
Promise.reject(new Error("rejected"));
alert("a dialog");
fetch("http://elsewhere.test/").catch(() => 0);
fetch("/missing");
document.body.style.color = "red";
try { document.body.innerHTML = "<b>markup</b>"; } catch {}
"""
BODY = "<body><script>alert('inline')</script><img src=x onerror=alert(1)><script type=module src=/a.js></script>"


async def _answer(route: Any) -> None:
    if route.request.url == f"{ORIGIN}/a.js":
        await route.fulfill(body=MODULE, content_type="text/javascript")
    elif route.request.url == f"{ORIGIN}/":
        await route.fulfill(body=BODY, content_type="text/html", headers={"Content-Security-Policy": POLICY})
    else:
        await route.fulfill(status=404, body="")


async def test_problems_are_noticed(open_page: Pages) -> None:
    page = await open_page.page(ORIGIN)
    watch = open_page.watch(page)
    await page.context.route("**/*", _answer)
    await page.goto(ORIGIN)
    wanted = (
        "exception: thrown",
        "exception: rejected",
        "dialog: a dialog",
        "foreign request: http://elsewhere.test/",
        "404",
        "CSP violation: script-src-elem inline",
        "CSP violation: img-src",
        "CSP violation: require-trusted-types-for trusted-types-sink",
    )
    await until(lambda: all(any(text in one for one in watch.unexpected()) for text in wanted))
    assert not any("dialog: inline" in one for one in watch.unexpected())
    with pytest.raises(AssertionError, match="exception: thrown"):
        await open_page.close()


async def test_expected_problems_are_ignored(open_page: Pages) -> None:
    page = await open_page.page(ORIGIN, expected=["404"])
    await page.context.route("**/*", _answer)
    await page.goto(f"{ORIGIN}/a.js")  # shown as text
    watch = open_page.watch(page)
    await page.evaluate("fetch('/missing')")
    assert watch.problems and not watch.unexpected()
    await page.evaluate("console.error('another')")
    assert ["another" in one for one in watch.unexpected()] == [True]
    watch.expect("another")
