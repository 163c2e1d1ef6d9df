"""`awictl agent audit`."""

from datetime import datetime
from typing import Annotated

from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import time_option
from ..framework.output import LISTING, Batches, Format
from ..framework.params import option
from . import audit_view
from .arguments import Agent, AuditLimit, Since

Until = Annotated[
    datetime | None,
    time_option("--until", "Only entries at or before this time."),
]
Operation = Annotated[
    str | None, option("--operation", metavar="NAME", help="Only entries about this operation or action.")
]
Failed = Annotated[bool, option("--failed", help="Only entries about something that failed.")]


@cli_command(
    examples=[
        "awictl agent audit BrowserUseAgent --since 2h",
        "awictl agent audit BrowserUseAgent --operation create_post --failed --limit 20",
        "awictl agent audit BrowserUseAgent --since 2026-11-23 --until 2026-11-24 -o jsonl | jq .",
    ],
    formats=[*LISTING, Format.IDS],
)
def command(
    ctx: CommandContext,
    agent: Agent,
    since: Since = None,
    until: Until = None,
    operation: Operation = None,
    failed: Failed = False,
    limit: AuditLimit = 100,
) -> Work:
    """List what the Express app recorded about an agent in its audit log, newest first. Reads only.

    JSON has the documents as they are.
    """
    return run(ctx, agent, since, until, operation, failed, limit)


async def run(
    ctx: CommandContext,
    agent: str,
    since: datetime | None,
    until: datetime | None,
    operation: str | None,
    failed: bool,
    limit: int,
) -> None:
    """Read the audit log."""
    from ...agents.audit import AuditQuery

    async with ctx.manager() as manager:
        log = manager.audit_log
        agent_id, name = await (await manager.existing_agents()).identify(agent)
        query = AuditQuery(agent_id, name, since=since, until=until, operation=operation, failed=failed)
        await render(ctx, Batches(log.entries(query, limit)), log.where, limit)


async def render(ctx: CommandContext, rows: Batches, where: str, limit: int) -> None:
    """Print the entries as they are read."""
    printed = await ctx.out.many(
        rows, audit_view.AUDIT, id_field="_id", fields=audit_view.AUDIT_FIELDS, empty=f"no entries at {where}"
    )
    audit_view.note_limit(ctx, printed, limit)
