"""`awictl agent events`."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from ...errors import InvalidInput
from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import LISTING, Batches, Format
from ..framework.params import option
from ..framework.parsers import plain_id
from . import audit_view
from .arguments import AuditLimit, DryRun, Since

if TYPE_CHECKING:
    from ...agents.audit import AuditLog

EventAgent = Annotated[
    str | None,
    option("--agent", metavar="AGENT", callback=plain_id, help="Only events of this agent (id or name)."),
]
Severity = Annotated[
    list[str] | None,
    option("--severity", metavar="LEVEL", help="Only events of this severity, such as high; repeatable."),
]
Unresolved = Annotated[bool, option("--unresolved", help="Only events that are not resolved.")]
Resolve = Annotated[str | None, option("--resolve", metavar="ID", help="Mark this event as resolved, and print it.")]
Note = Annotated[str | None, option("--note", metavar="TEXT", help="With --resolve: add a note to the event.")]


@cli_command(
    examples=[
        "awictl agent events --unresolved --severity high --severity critical",
        "awictl agent events --agent BrowserUseAgent --since 7d --limit 20",
        "awictl agent events --resolve 6b03e3a15c752fa9a5b94777 --note 'a known crawler'",
        "awictl agent events --resolve 6b03e3a15c752fa9a5b94777 --dry-run",
    ],
    formats=[*LISTING, Format.IDS],
)
def command(
    ctx: CommandContext,
    agent: EventAgent = None,
    severity: Severity = None,
    unresolved: Unresolved = False,
    since: Since = None,
    limit: AuditLimit = 100,
    resolve: Resolve = None,
    note: Note = None,
    dry_run: DryRun = False,
) -> Work:
    """List the security events that the Express app recorded, newest first, or resolve one.

    JSON has the documents as they are.
    """
    if resolve is not None:
        if agent is not None or severity or unresolved or since is not None:
            raise InvalidInput("--resolve is for one event; leave out the options that select events")
        return run_resolve(ctx, resolve, note, dry_run)
    if note is not None or dry_run:
        raise InvalidInput("--note and --dry-run need --resolve ID")
    return run(ctx, agent, severity or [], unresolved, since, limit)


async def run(
    ctx: CommandContext,
    agent: str | None,
    severities: list[str],
    unresolved: bool,
    since: datetime | None,
    limit: int,
) -> None:
    """Read the events."""
    from ...agents.audit import AuditQuery

    async with ctx.manager() as manager:
        log = manager.audit_log
        agent_id, name = await (await manager.existing_agents()).identify(agent) if agent is not None else (None, None)
        query = AuditQuery(agent_id, name, since=since, severities=severities, unresolved=unresolved)
        await render(ctx, Batches(log.events(query, limit)), log.where, limit)


async def run_resolve(ctx: CommandContext, event_id: str, note: str | None, dry_run: bool) -> None:
    """Mark an event as resolved."""
    async with ctx.manager() as manager:
        log = manager.audit_log
        if not dry_run:
            manager.check_writable()
        await render(ctx, Batches(_resolved(ctx, log, event_id, note, dry_run)), log.where, 0)


async def _resolved(
    ctx: CommandContext, log: "AuditLog", event_id: str, note: str | None, dry_run: bool
) -> AsyncGenerator[list[dict[str, Any]], None]:
    """The event, once it is resolved; a notice says if nothing was written."""
    if dry_run:
        yield [await log.event(event_id)]
        ctx.out.notice("dry run: nothing was written")
        return
    event, written = await log.resolve(event_id, note)
    yield [event]
    if not written:
        ctx.out.notice("the event is resolved already; nothing was written")


async def render(ctx: CommandContext, rows: Batches, where: str, limit: int) -> None:
    """Print the events as they are read."""
    printed = await ctx.out.many(
        rows, audit_view.EVENTS, id_field="_id", fields=audit_view.EVENT_FIELDS, empty=f"no events at {where}"
    )
    audit_view.note_limit(ctx, printed, limit)
