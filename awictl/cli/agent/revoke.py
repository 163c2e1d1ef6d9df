"""`awictl agent revoke`."""

from typing import TYPE_CHECKING

from ...util.humanize import plural
from ..framework.cells import shortened
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Yes
from ..framework.confirm import confirm
from ..framework.each_id import are_several
from ..framework.input import read_ids
from ..framework.output import LISTING, Batches, Format
from . import view
from .arguments import Agents, DryRun
from .each_agent import change_each

if TYPE_CHECKING:
    from ...agents.api_keys import AgentKey
    from ...agents.registry import AgentRegistry

#: Maximum number of characters of a name in the question.
_MAX_NAME = 80


@cli_command(
    examples=[
        "awictl agent revoke crawler",
        "awictl agent revoke 6b03e3a15c752fa9a5b94777 --yes",
        "awictl agent revoke crawler browser --dry-run",
    ],
    formats=[*LISTING, Format.IDS],
)
def command(ctx: CommandContext, agents: Agents, yes: Yes = False, dry_run: DryRun = False) -> Work:
    """Revoke API keys of agents permanently. Servers reject them (401), awictl's within 5 seconds.

    Works for keys of the Express app, too: they become inactive.
    """
    return run(ctx, agents if yes or dry_run else read_ids(agents, lines=True), yes, dry_run)


async def run(ctx: CommandContext, agents: list[str], yes: bool, dry_run: bool) -> None:
    """Revoke each key, once that is confirmed."""
    if not dry_run and not yes:
        async with ctx.manager() as manager:
            manager.check_writable()
            if are_several(agents):
                question = f"Revoke the keys of {plural(len(agents), 'agent')}?"
            else:
                key = await (await manager.existing_agents()).get(agents[0])
                question = f"Revoke the key of {shortened(key.name, _MAX_NAME)} ({key.agent_id})?"
        confirm(f"{question} This cannot be undone.", yes)

    async def revoke(registry: "AgentRegistry", key: "AgentKey") -> "AgentKey":
        return await registry.revoke(key)

    await change_each(ctx, agents, revoke, render, dry_run=dry_run)


async def render(ctx: CommandContext, rows: Batches) -> None:
    """Print the revoked keys."""
    await ctx.out.many(rows, view.KEYS, id_field="agent_id", empty="no key was revoked")
