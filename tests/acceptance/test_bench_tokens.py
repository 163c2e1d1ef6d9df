"""`awictl bench tokens`: the built-in example, the user's pages, and sessions on a real server."""

from __future__ import annotations

import os

from support.cli import Cli, unchanged
from support.documents import document, put
from support.valkey import ValkeyServer

from awictl.document.byte_layout import encode

PAGE = '<!doctype html><title>Posts</title><p class="a">Hello, world! <|endoftext|>'


def test_the_built_in_example_needs_no_server(user: Cli) -> None:
    found = user.having(REDIS_PORT="1").ok("bench", "tokens").json
    assert (found["vocabulary"], found["session_id"], found["claim"]) == (
        "o200k_base",
        None,
        {"min": 500, "max": 10000},
    )
    assert found["parts"].keys() == {"state", "head", "api_state", "diff", "delta"}
    assert found["pages"]["lean"]["count"] == found["parts"]["diff"]["count"] == 12
    heavy = {one["part"]: one for one in found["ratios"] if one["page"] == "heavy"}
    assert 15 < heavy["diff"]["median"] < 25 and heavy["diff"]["at_least_500"] == 0
    other = user.ok("bench", "tokens", "--vocabulary", "cl100k_base").json
    assert other["vocabulary"] == "cl100k_base" and other["pages"]["lean"]["tokens"] != found["pages"]["lean"]["tokens"]


def test_the_table_shows_ratios_beside_the_claim(user: Cli) -> None:
    shown = user.on_screen("bench", "tokens", rows=40).text
    assert "page (heavy)" in shown and " × to " in shown
    assert "claim: state and diffs have 500 to 10,000 times fewer tokens than a page" in shown
    assert "500 × IN" in shown and "0 of 12" in shown and "API state" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_pages_of_the_user_are_counted_without_a_ratio(user: Cli) -> None:
    pages = user.home / "pages"
    pages.mkdir()
    (pages / "one.html").write_text(PAGE)
    (pages / "two.htm").write_text(PAGE * 100)
    (pages / "\x1b[31mimage.html").write_bytes(b"\x89PNG\0\0")
    os.mkfifo(pages / "pipe.html")
    done = user.ok("bench", "tokens", "--html", "pages")
    assert done.json["pages"]["html"]["count"] == 2 and done.json["ratios"] == []
    assert done.json["pages"]["html"]["tokens"]["min"] == 26  # as gpt-tokenizer counts
    assert done.json["pages"]["html"]["bytes"]["min"] == len(PAGE)
    skipped = done.err.splitlines()
    assert len(skipped) == 3 and "\x1b" not in done.err
    assert "not text" in done.err and "not a regular file" in done.err and "--session" in skipped[-1]

    (pages / "one.html").unlink()
    (pages / "two.htm").unlink()
    user("bench", "tokens", "--html", "pages", "-q").error(2, "none of the 2 files")
    user("bench", "tokens", "--html", "pages/pipe.html").error(2, "not a regular file")
    user("bench", "tokens", "--html", "none").error(3, "does not exist")
    user("bench", "tokens", "--html", "").error(2, "--html is empty")


def test_a_live_or_archived_session_is_counted_and_stays_as_it_is(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    made = document([10, 300, 20])
    made["page_state"]["visible_items"] = [{"id": "post_1", "title": "A title", "excerpt": "word " * 100}]
    put(valkey, encode(made), made["session_id"])
    with unchanged(valkey):
        live = sqlite_user.ok("bench", "tokens", "--session", made["session_id"]).json
    assert live["session_id"] == made["session_id"] and live["pages"].keys() == {"lean", "heavy"}
    steps = [one for one in made["history"]["actions"] if one["action"] != "session_start"]
    assert live["parts"]["diff"]["count"] == len(steps) and live["parts"]["head"]["count"] == 1
    assert live["parts"]["head"]["tokens"]["max"] < live["parts"]["state"]["tokens"]["max"]

    (sqlite_user.home / "page.html").write_text(PAGE)
    own = sqlite_user.ok("bench", "tokens", "--session", made["session_id"], "--html", "page.html").json
    assert own["pages"].keys() == {"html"} and {one["page"] for one in own["ratios"]} == {"html"}

    sqlite_user.ok("session", "end", made["session_id"])
    archived = sqlite_user.ok("bench", "tokens", "--session", made["session_id"])
    assert archived.json["parts"]["diff"] == live["parts"]["diff"] and "archive" in archived.err
    sqlite_user("bench", "tokens", "--session", "sess_none").error(3, "sess_none")
    assert "degraded" not in archived.json
    away = sqlite_user.having(REDIS_PORT="1").ok("bench", "tokens", "--session", made["session_id"])
    assert away.json == archived.json | {"degraded": True} and "unreachable" in away.err


def test_without_the_extra_the_command_says_what_to_install(user: Cli) -> None:
    package = user.home / "without" / "splintr"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ModuleNotFoundError(name='splintr')")
    alone = user.having(PYTHONPATH=str(package.parent))
    alone("bench", "tokens").error(2, "splintr-rs", "pip install 'awictl[bench]'")
    assert alone("bench", "tokens", "--help").code == 0
