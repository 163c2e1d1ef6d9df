"""`awictl demo`: the main job, for real, on the embedded server."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from ..sessions.manager import StateManager
from ..util.humanize import duration
from .options import Run, command
from .session import view
from .tables import Rows, fields_of

if TYPE_CHECKING:
    from rich.console import RenderableType

app = typer.Typer(rich_markup_mode=None, add_completion=False)

AGENT_ID, AGENT_NAME, ROUTE = "demo-agent", "Demo agent", "/api/agent/posts"

#: What the agent does: the method of the manager, the change, and what is recorded.
STEPS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "update_page_state",
        {
            "route": ROUTE,
            "metadata": {"title": "Posts", "breadcrumbs": ["Home", "Posts"]},
            "visible_items": [{"id": "post_1", "title": "Agentic web interfaces"}, {"id": "post_2", "title": "🙂"}],
        },
        {"observation": "Retrieved 2 posts (page 1)"},
    ),
    ("update_pagination", {"cursor": 2, "total_pages": 5, "total_items": 50}, {"observation": "Navigated to page 2"}),
    (
        "update_state_with_delta",
        {},
        {"action": "get_post", "input": {"id": "post_9"}, "success": False, "observation": "Post not found"},
    ),
    (
        "update_state_with_delta",
        {"page_state": {"filters": {"tag": "awi"}}},
        {"action": "filter", "input": {"tag": "awi"}, "observation": "50 posts are tagged awi"},
    ),
]


@command(app, "demo", examples=["awictl demo", "awictl demo && awictl --embedded session list"])
async def demo(run: Run) -> None:
    """See the main job done on the embedded server: an agent's session is created, changed, ended and archived."""
    console = run.out.console()

    def say(text: str, shown: "RenderableType | None" = None) -> None:
        console.print()
        console.print(f"— {text}", style="bold")
        if shown is not None:
            console.print(shown)

    # its own archive too, whichever the user has configured for other sessions
    settings = replace(run.settings, embedded=True, mongodb_uri=None, archive_url=None)
    async with StateManager.open(settings) as manager:
        say(f"a private Valkey is running at {manager.store.where}")
        ended_id = await _session(manager)
        say(f"an agent begins session {ended_id}, and takes {len(STEPS)} steps")
        stored = await manager.read_session(ended_id)
        say("its state now", view.session(manager.decoded(ended_id, stored), stored.ttl_ms))
        if last := await manager.get_state_diff(ended_id):
            say("its last delta, for other agents and for you", view.last_delta(last))
        say("what is stored, and how long it stays", await _expiries(manager, ended_id, AGENT_ID))
        ended = await manager.end_session(ended_id)
        say("the session ends: it is archived, read back, and deleted from Valkey", Rows([ended.row()], view.ENDED))
        page, _ = await manager.find_history(ended_id, limit=3)
        say(f"the newest 3 of its {page.total} actions, from the archive", Rows(page.trajectory, view.ACTIONS))
        session_id = await _session(manager)
        say(f"another session is alive: {session_id}", await _expiries(manager, session_id, AGENT_ID))
    say("go on with")
    uv = "uv run " if "UV_RUN_RECURSION_DEPTH" in os.environ else ""
    for line in (
        "--embedded session list",
        f"--embedded session show {session_id}",
        f"""--embedded session apply {session_id} '{{"page_state":{{"filters":{{}}}}}}' --action clear_filters""",
        f"--embedded session end {session_id}",
        "--embedded archive list",
        f"--embedded archive show {ended_id}",
        "embedded stop",
    ):
        console.print(f"  {uv}awictl {line}", soft_wrap=True)


async def _session(manager: StateManager) -> str:
    """A session of the agent, after all its steps. Returns its id."""
    session_id: str = (await manager.initialize_session(AGENT_ID, AGENT_NAME, ROUTE))["session_id"]
    for method, change, entry in STEPS:
        await getattr(manager, method)(session_id, change, entry)
    return session_id


async def _expiries(manager: StateManager, session_id: str, agent_id: str) -> "RenderableType":
    ttls = await manager.get_expiries(session_id, agent_id)
    return fields_of([(key, f"expires in {duration(ttl_ms)}") for key, ttl_ms in ttls.items()])
