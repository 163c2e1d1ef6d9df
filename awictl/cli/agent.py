"""`awictl agent`: agents, their API keys and their sessions."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..agents.api_keys import Permission
from ..errors import NotFound
from ..util.humanize import duration
from .given import confirm, parse_duration
from .options import Run, Yes, command, new_group
from .output import Format
from .tables import Column, Rows, fields_of

if TYPE_CHECKING:
    from ..agents.api_keys import AgentKey

app = new_group("Register agents, revoke their API keys, and find their sessions.")

Agent = Annotated[str, typer.Argument(metavar="AGENT", help="Agent id, or name.", show_default=False)]

COLUMNS = [
    Column("AGENT", lambda row: row["agent_id"]),
    Column("NAME", lambda row: row["name"], narrow="cut"),
    Column("PERMISSIONS", lambda row: ", ".join(row["permissions"]) or "-", narrow="fold"),
    Column("STATE", lambda row: row["state"]),
    Column("EXPIRES", lambda row: _day(row["expires_at"]), drop=1),
    Column("CREATED", lambda row: _day(row["created_at"]), drop=2),
    Column("MADE BY", lambda row: row["made_by"], drop=3),
]


def _day(moment: str | None) -> str:
    return moment[:16].replace("T", " ") if moment else "-"


@command(
    app,
    "register",
    examples=[
        "awictl agent register BrowserUseAgent",
        "awictl agent register crawler --permission read --expires 30d",
        "KEY=$(awictl agent register BrowserUseAgent -o raw)",
    ],
    formats=[Format.IDS, Format.RAW],
)
async def register(
    run: Run,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the agent is called.", show_default=False)],
    permission: Annotated[
        list[Permission] | None,
        typer.Option("--permission", help="What it may do; repeatable.  [default: read and write]", show_default=False),
    ] = None,
    expires: Annotated[
        Any,
        typer.Option("--expires", parser=parse_duration, metavar="TIME", help="When its key expires, such as 30d."),
    ] = None,
    description: Annotated[str | None, typer.Option("--description", help="What it is for.", metavar="TEXT")] = None,
) -> None:
    """Make an API key for an agent. It is shown this once: only its SHA-256 is kept, beside the archive."""
    permissions = permission or [Permission.READ, Permission.WRITE]
    async with run.manager() as manager:
        made = await manager.agents.register(
            name, permissions=permissions, expires_in_ms=expires, description=description
        )
    run.out.notice("this is the only time that the key is shown: keep it now")
    run.out.one(
        {**made.key.row(), "key": made.secret},
        table=lambda: fields_of([("key", made.secret), *_fields(made.key)]),
        ids=[made.key.agent_id],
        raw=f"{made.secret}\n".encode(),
    )


@command(app, "list", examples=["awictl agent list", "awictl agent list -o ids"], formats=[Format.IDS])
async def list_agents(run: Run) -> None:
    """List the agents that have a key, the newest first; those of the Express app are among them."""
    async with run.manager() as manager:
        keys = await manager.agents.all()
    await run.out.many([key.row() for key in keys], COLUMNS, id_field="agent_id", empty="no agent has a key")


@command(
    app,
    "show",
    examples=["awictl agent show BrowserUseAgent", "awictl agent show 6b03e3a15c752fa9a5b94777"],
    formats=[Format.IDS],
)
async def show(run: Run, agent: Agent) -> None:
    """Show an agent's key: what it allows, and whether it is good. Never the key itself."""
    async with run.manager() as manager:
        key = await manager.agents.get(agent)
    run.out.one(key.row(), table=lambda: fields_of(_fields(key)), ids=[key.agent_id])


@command(
    app,
    "revoke",
    examples=["awictl agent revoke crawler", "awictl agent revoke 6b03e3a15c752fa9a5b94777 --yes"],
    formats=[Format.IDS],
)
async def revoke(run: Run, agent: Agent, yes: Yes = False) -> None:
    """Revoke an agent's key, for good. Servers refuse it within a minute."""
    async with run.manager() as manager:
        manager.check_writable()
        key = await manager.agents.get(agent)
        confirm(f"Revoke the key of {key.name} ({key.agent_id})?", yes)
        key = await manager.agents.revoke(key.agent_id)
    run.out.one(key.row(), table=lambda: Rows([key.row()], COLUMNS), ids=[key.agent_id])


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


def _fields(key: "AgentKey") -> list[tuple[str, str]]:
    row = key.row()
    return [
        ("agent", key.agent_id),
        ("name", key.name),
        ("permissions", ", ".join(key.permissions) or "-"),
        ("state", row["state"]),
        ("expires", row["expires_at"] or "-"),
        ("created", row["created_at"] or "-"),
        ("requests an hour", f"{key.requests_per_hour:,}" if key.requests_per_hour else "as the server says"),
        ("description", key.description or "-"),
        ("made by", row["made_by"]),
    ]
