"""`awictl agent suspend`."""

from typing import TYPE_CHECKING, Annotated

from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import LISTING, Batches, Format
from ..framework.params import option
from ..framework.parsers import parse_duration
from . import view
from .arguments import Agents, DryRun
from .each_agent import change_each

if TYPE_CHECKING:
    from ...agents.api_keys import AgentKey
    from ...agents.registry import AgentRegistry

For = Annotated[
    int | None,
    option(
        "--for",
        parser=parse_duration,
        metavar="DURATION",
        help="End the suspension after this time, such as 2h.  [default: until it is resumed]",
    ),
]
Reason = Annotated[str | None, option("--reason", metavar="TEXT", help="Why; the agent gets it with each refusal.")]


@cli_command(
    examples=[
        "awictl agent suspend BrowserUseAgent --for 2h --reason 'too many requests'",
        "awictl agent list -o ids | awictl agent suspend - --dry-run",
    ],
    formats=[*LISTING, Format.IDS],
)
def command(
    ctx: CommandContext, agents: Agents, duration: For = None, reason: Reason = None, dry_run: DryRun = False
) -> Work:
    """Suspend agents: servers refuse their requests (403), awictl's within 5 seconds. Their sessions stay.

    Works for agents of the Express app, too: the same fields are set as by the app.
    """
    return run(ctx, agents, duration, reason, dry_run)


async def run(ctx: CommandContext, agents: list[str], for_ms: int | None, reason: str | None, dry_run: bool) -> None:
    """Suspend each agent."""
    from ...agents.suspension import new_suspension

    new_suspension(for_ms, reason)  # an invalid option is reported once

    async def suspend(registry: "AgentRegistry", key: "AgentKey") -> "AgentKey":
        return await registry.suspend(key, for_ms=for_ms, reason=reason)

    await change_each(ctx, agents, suspend, render, dry_run=dry_run, verb="suspend")


async def render(ctx: CommandContext, rows: Batches) -> None:
    """Print the suspended agents."""
    await ctx.out.many(rows, view.SUSPENSIONS, id_field="agent_id", empty="no agent was suspended")
