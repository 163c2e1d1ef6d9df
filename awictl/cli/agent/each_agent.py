"""Changes of the keys of several agents, for `agent suspend`, `resume` and `revoke`."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ...errors import AwiError, Unreachable
from ..framework.context import CommandContext
from ..framework.each_id import EachId
from ..framework.output import Batches

if TYPE_CHECKING:
    from ...agents.api_keys import AgentKey
    from ...agents.registry import AgentRegistry

#: Changes a key, and returns it as it is then.
Change = Callable[["AgentRegistry", "AgentKey"], Awaitable["AgentKey"]]
#: Prints the rows of the keys.
Render = Callable[[CommandContext, Batches], Awaitable[None]]
#: Agents per batch: their keys are looked up together, and changed one after the other.
_BATCH = 100


async def change_each(
    ctx: CommandContext, agents: list[str], change: Change, render: Render, *, dry_run: bool, verb: str | None = None
) -> None:
    """Change the key of each agent, and print it; with `dry_run`, print the keys as they are.

    An error with one agent does not stop the others; an unreachable archive does. `verb`: what cannot be done with a
    revoked key, which a dry run reports, too.
    """
    each = EachId(ctx, agents, writes=not dry_run, lines=True)
    async with ctx.manager() as manager:
        if not dry_run:
            manager.check_writable()
        registry = await manager.existing_agents()

        async def changed(batch: list[str]) -> list[dict[str, Any] | Exception | None]:
            results: list[dict[str, Any] | Exception | None] = []
            unreachable: Unreachable | None = None
            each.sending = False
            keys = await registry.get_each(batch)
            each.sending = not dry_run
            for key in keys:
                if isinstance(key, AwiError):
                    results.append(key)
                    continue
                try:
                    if unreachable is not None:
                        raise unreachable
                    if dry_run and verb is not None:
                        registry.check_not_revoked(key, verb)
                    results.append((key if dry_run else await change(registry, key)).row())
                except Unreachable as error:
                    unreachable = error
                    results.append(error)
                except AwiError as error:
                    results.append(error)
            return results

        await render(ctx, Batches(each.batches(changed, most=_BATCH)))
    if dry_run:
        ctx.out.notice("dry run: nothing was written")
    each.exit()
