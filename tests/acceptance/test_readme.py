"""What the README shows can be run, as it stands there."""

from __future__ import annotations

import ast
import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.cli import Cli

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
#: Blocks of commands that need no server of the reader's own.
SCRIPTS = [text for language, text in BLOCKS if language == "sh" and "--profile production" not in text]
#: jq need not be installed where the tests run.
PREAMBLE = "set -euo pipefail\ncommand -v jq > /dev/null || jq() { cat; }\n"


def test_there_is_something_to_run() -> None:
    assert any("awictl session create" in script for script in SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_commands_run(laptop: Cli, script: str) -> None:
    result = laptop.having(AWI_EMBEDDED="1").shell(PREAMBLE + script)
    assert result.code == 0, result
    assert "Traceback" not in result.err


def test_the_demo_prints_what_is_shown(laptop: Cli) -> None:
    """But for ids, times and the width of the terminal."""
    shown = next(text for language, text in BLOCKS if language == "text" and text.startswith("— "))
    headings = [re.sub(r"sess_\w+|\S*/valkey.sock", "…", line) for line in shown.splitlines() if line[:1] == "—"]
    printed = laptop.ok("demo").text
    assert [
        re.sub(r"sess_\w+|\S*/valkey.sock", "…", line) for line in printed.splitlines() if line[:1] == "—"
    ] == headings


def test_the_library_example_is_python_that_names_what_there_is() -> None:
    from awictl import StateManager

    [example] = [text for language, text in BLOCKS if language == "python" and "manager." in text]
    calls = set(re.findall(r"manager\.(\w+)\(", example))
    assert calls and all(hasattr(StateManager, name) for name in calls)
    ast.parse(f"async def main():\n{''.join('    ' + line for line in example.splitlines(True))}")


async def test_the_example_of_a_site_runs(awictl: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    [example] = [text for language, text in BLOCKS if language == "python" and "LoadSession" in text]
    for name, value in awictl.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWI_ARCHIVE_URL", f"sqlite:///{awictl.home}/archive.db")
    secret = awictl.ok(
        "--archive", f"sqlite:///{awictl.home}/archive.db", "agent", "register", "x", "-o", "raw", "-q"
    ).text.strip()
    site: dict[str, Any] = {}
    exec(compile(example, "README.md", "exec"), site)  # noqa: S102  # the README's own
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
