"""`awictl agent`: agents and their sessions."""

from typing import Annotated

import typer

from ..errors import NotFound
from .options import Run, command, new_group
from .output import Format
from .tables import duration, fields_of

app = new_group("Find the sessions of agents.")


@command(
    app,
    "session",
    examples=["awictl agent session browser-1", "awictl agent session browser-1 -o ids | awictl session show -"],
    formats=[Format.IDS],
)
async def session(
    run: Run, agent: Annotated[str, typer.Argument(metavar="AGENT", help="Agent id.", show_default=False)]
) -> None:
    """Show which session an agent is in, and when its mapping expires."""
    async with run.manager() as manager:
        found = await manager.get_agent_session(agent)
    if found is None:
        raise NotFound(f"agent {agent} has no session at {manager.store.where}: it may have ended or expired")
    if not found.exists:
        run.out.notice(f"the agent is mapped to {found.session_id}, but there is no such session any more")
    row = {
        "agent_id": agent,
        "session_id": found.session_id,
        "ttl_ms": found.ttl_ms,
        "session_exists": found.exists,
    }
    shown = [
        ("agent", agent),
        ("session", found.session_id + ("" if found.exists else " (gone)")),
        ("mapping expires in", duration(found.ttl_ms)),
    ]
    run.out.one(row, table=lambda: fields_of(shown), ids=[found.session_id])
