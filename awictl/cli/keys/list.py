"""`awictl keys list`."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack, aclosing
from typing import TYPE_CHECKING, Annotated, Any

from ...document.keys import KeyKind
from ...util.humanize import plural
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Rate
from ..framework.output import LISTING, Batches, Format
from ..framework.params import option
from . import view
from .agent_limits import AgentLimits
from .arguments import Everything, Pattern

if TYPE_CHECKING:
    from ...diagnostics.inventory import Key

Kinds = Annotated[list[KeyKind] | None, option("--kind", help="Only keys of this kind; repeatable.")]
#: The fields that only some rows have.
MAY_HAVE = ("error", "holder", "requests", "limit", "limit_is_default")
Limit = Annotated[int | None, option("--limit", min=1, metavar="N", help="Maximum number of rows.")]


@cli_command(
    examples=[
        "awictl keys list",
        "awictl keys list --kind cache --kind image",
        "awictl keys list 'AWI:DIFF:*' --rate 5000",
        "awictl keys list --kind ratelimit --kind lock   # requests and limits of agents, holders of locks",
        "awictl keys list -o jsonl | jq -r 'select(.ttl_ms == null) | .key'",
    ],
    formats=[*LISTING, Format.IDS],
)
def command(
    ctx: CommandContext,
    pattern: Pattern = None,
    kind: Kinds = None,
    all: Everything = False,
    limit: Limit = None,
    rate: Rate = None,
) -> Work:
    """List keys with kind, TTL and size, as they are found. Uses SCAN, never KEYS.

    Shows the requests that a RATELIMIT key counts and the limit of the agent, and the holder of a LOCK:SESSION key.
    """
    return run(ctx, pattern, kind or [], all, limit, rate)


async def run(
    ctx: CommandContext,
    pattern: str | None,
    kinds: list[KeyKind],
    everything: bool,
    limit: int | None,
    rate: float | None,
) -> None:
    """Scan the keys, with a progress bar until the first is printed. Their values are not read for `-o ids`."""
    find: Callable[..., AsyncGenerator[Sequence[Key | str], None]]  # local annotations are not evaluated
    async with ctx.manager() as manager:
        inventory = manager.inventory
        find = inventory.names if ctx.out.format is Format.IDS else inventory.keys
        with ExitStack() as waiting:
            on_step = waiting.enter_context(ctx.out.progress(None, "scanning keys"))
            found = find(pattern, kinds=kinds, everything=everything, rate=rate, on_step=on_step)
            limits = AgentLimits(ctx, manager)
            await render(ctx, Batches(_rows(found, waiting.close, limits), limit), inventory.where)


async def _rows(
    found: "AsyncGenerator[Sequence[Key | str], None]", on_first: Callable[[], None], limits: AgentLimits
) -> AsyncGenerator[list[dict[str, Any]], None]:
    """The rows of keys, or of their names. `on_first`: called before the first is printed, and again."""
    async with aclosing(found) as batches:
        async for batch in batches:
            on_first()
            rows = [{"key": one} if isinstance(one, str) else one.row() for one in batch]
            await limits.add(rows)
            yield rows


async def render(ctx: CommandContext, rows: Batches, where: str) -> None:
    """Print keys as they are found; below a table their number."""
    empty = f"no keys at {where}"
    printed = await ctx.out.many(rows, view.KEYS, id_field="key", empty=empty, may_have=MAY_HAVE)
    if printed and ctx.out.is_table:
        ctx.out.notice(plural(printed, "key") + (" (--limit; there may be more)" if printed == rows.limit else ""))
