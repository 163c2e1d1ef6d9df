"""What the README and the guides show can be run, as it stands there, and prints what they show.

If the output of a command has changed on purpose, rewrite what the pages show:

    AWICTL_UPDATE_DOCS=1 uv run pytest tests/acceptance/test_docs_examples.py
"""

from __future__ import annotations

import asyncio
import os
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from support import guides, pictures
from support.cli import Cli

from awictl import Settings

RUNNABLE = [page for page in guides.PAGES if guides.steps(page)]
TOML = [(page, block) for page in guides.PAGES for block in guides.blocks(page) if block.language == "toml"]


def test_the_readme_and_all_guides_are_found() -> None:
    names = {page.name for page in RUNNABLE}
    assert {"README.md", "operating.md", "archive.md", "troubleshooting.md"} <= names


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: str(page.relative_to(guides.REPOSITORY)))
def test_every_block_runs_and_prints_what_is_shown(laptop: Cli, page: Path, request: pytest.FixtureRequest) -> None:
    if missing := guides.missing_tools(page):
        pytest.skip(f"not installed: {', '.join(missing)}")
    needed = guides.needs_mongodb(page)
    done = guides.run(page, laptop, request.getfixturevalue("mongo").uri if needed else guides.MONGODB)
    if os.environ.get("AWICTL_UPDATE_DOCS"):
        guides.update(page, done)
        return
    for step, printed in done:
        assert "Traceback" not in printed, f"$ {step.command}\n{printed}"
        if step.shown is not None and guides.comparable(step) and not guides.matches(step.shown, printed):
            pytest.fail(guides.difference(page, step, printed), pytrace=False)


@pytest.mark.parametrize(
    "block",
    [
        "sh\nawictl session show sess_00000000000000000000000000000000\n",
        "sh\nawictl session list | false\n",
        "python\nassert False\n",
    ],
)
def test_a_block_that_fails_is_noticed(laptop: Cli, tmp_path: Path, block: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```sh\necho first\n```\n\n```{block}```\n\n```sh\necho last\n```\n")
    with pytest.raises(AssertionError, match=r"page.md: this block failed"):
        guides.run(page, laptop)


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_pictures_show_what_terminals_do(laptop: Cli, name: str) -> None:
    """The words in a picture are those on the screen today; numbers, their order and the order of rows may differ."""
    screen = pictures.PICTURES[name](replace(laptop.having(AWI_EMBEDDED="1"), fresh=False))
    file = pictures.FOLDER / f"{name}.svg"
    if os.environ.get("AWICTL_UPDATE_DOCS"):
        file.write_text(pictures.svg_of(screen))
    svg = file.read_text()
    assert not re.search(r"(href|src|url)\W*https?:|@import|@font-face", svg), "a picture loads nothing"
    assert words(pictures.text_in(svg)) == words(pictures.text_of(screen))


def words(text: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]{2,}", " ".join(guides.shape(text))))


@pytest.mark.parametrize(("page", "block"), TOML, ids=lambda value: getattr(value, "name", None))
def test_profiles_can_be_loaded(page: Path, block: guides.Block, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(block.text)
    for profile in tomllib.loads(block.text)["profiles"]:
        assert Settings.load(profile=profile, environ={}, config_file=file).profile == profile


async def test_the_example_of_a_site_runs(awictl: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    page = guides.REPOSITORY / "docs" / "http-api-and-middleware.md"
    [example] = [one.text for one in guides.blocks(page) if one.language == "python" and "LoadSession" in one.text]
    for name, value in awictl.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWI_ARCHIVE_URL", f"sqlite:///{awictl.home}/archive.db")
    secret = awictl.ok(
        "--archive", f"sqlite:///{awictl.home}/archive.db", "agent", "register", "x", "-o", "raw", "-q"
    ).text.strip()
    site: dict[str, Any] = {}
    exec(compile(example, page.name, "exec"), site)  # noqa: S102  # the guide's own
    app = site["app"]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://site") as client:
        assert (await client.get("/posts")).json() == {"success": True, "posts": []}
        answer = (await client.get("/posts", headers={"X-Agent-API-Key": secret})).json()
        session_id = answer["_sessionState"]["sessionId"]
        for _ in range(100):
            await asyncio.sleep(0.05)
            last = awictl.ok("session", "history", session_id, "--limit", "1").rows[0]
            if last["action"] == "list_posts":
                break
    assert (last["action"], last["observation"]) == ("list_posts", "Retrieved 10 posts (page 1)")
    assert last["delta"] == {"page_state": {"route": "/posts"}}
