"""`awictl demo`."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...util.humanize import duration
from ..framework.command import CommandContext, Work, cli_command
from ..framework.session_view import ACTIONS, ENDED, last_delta
from ..framework.session_view import session as session_table
from ..framework.tables import Rows, fields_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ...sessions.manager import StateManager

AGENT_ID, AGENT_NAME, ROUTE = "demo-agent", "Demo agent", "/api/agent/posts"

#: The steps of the agent: method of the manager, delta, and fields of the recorded action.
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


@cli_command(examples=["awictl demo", "awictl demo && awictl --embedded session list"])
def command(ctx: CommandContext) -> Work:
    """Demonstrate the life of a session on the embedded server. Creates, updates, ends and archives a session."""
    return run(ctx)


async def run(ctx: CommandContext) -> None:
    """Create, update and end a session; create another one, which stays."""
    from ...sessions.manager import StateManager

    # the embedded archive too, even if another one is configured
    settings = replace(ctx.settings, embedded=True, use_redis=True, mongodb_uri=None, archive_url=None)
    async with StateManager.open(settings) as manager:
        render(ctx, f"a private Valkey is running at {manager.store.where}")
        ended_id = await _session(manager)
        render(ctx, f"an agent starts session {ended_id} and takes {len(STEPS)} steps")
        stored = await manager.read_session(ended_id)
        render(
            ctx, "the state of the session", session_table(ended_id, manager.decoded(ended_id, stored), stored.ttl_ms)
        )
        if last := await manager.get_state_diff(ended_id):
            render(ctx, "the last delta, for other agents and for operators", last_delta(last))
        render(ctx, "the stored keys and their TTLs", await _expiries(manager, ended_id, AGENT_ID))
        ended = await manager.end_session(ended_id)
        render(ctx, "the session ends: it is archived, verified, and deleted from Valkey", Rows([ended.row()], ENDED))
        page, _ = await manager.find_history(ended_id, limit=3)
        render(ctx, f"the newest 3 of {page.total} actions, from the archive", Rows(page.trajectory, ACTIONS))
        session_id = await _session(manager)
        render(ctx, f"another session is live: {session_id}", await _expiries(manager, session_id, AGENT_ID))
    render_commands(ctx, ended_id, session_id)


async def _session(manager: "StateManager") -> str:
    """Create a session of the agent, and take all its steps. Returns its id."""
    session_id: str = (await manager.initialize_session(AGENT_ID, AGENT_NAME, ROUTE))["session_id"]
    for method, change, entry in STEPS:
        await getattr(manager, method)(session_id, change, entry)
    return session_id


async def _expiries(manager: "StateManager", session_id: str, agent_id: str) -> "RenderableType":
    ttls = await manager.get_expiries(session_id, agent_id)
    return fields_of([(key, f"expires in {duration(ttl_ms)}") for key, ttl_ms in ttls.items()])


def render(ctx: CommandContext, text: str, shown: "RenderableType | None" = None) -> None:
    """Print a heading, and below it the result of the step."""
    console = ctx.out.console()
    console.print()
    console.print(f"— {text}", style="bold")
    if shown is not None:
        console.print(shown)


def render_commands(ctx: CommandContext, ended_id: str, session_id: str) -> None:
    """Print commands to try next."""
    render(ctx, "try next")
    uv = "uv run " if "UV_RUN_RECURSION_DEPTH" in os.environ else ""
    for line in (
        "--embedded session list",
        f"--embedded session show {session_id}",
        f"""--embedded session apply {session_id} '{{"page_state":{{"filters":{{}}}}}}' --action clear_filters""",
        f"--embedded session end {session_id}",
        "--embedded archive list",
        f"--embedded archive show {ended_id}",
        f"--embedded session replay {ended_id}",
        f"--embedded session show {ended_id} --at 2",
        "embedded stop",
    ):
        ctx.out.console().print(f"  {uv}awictl {line}", soft_wrap=True)
