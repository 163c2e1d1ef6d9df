"""`awictl keys list`."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Rate
from ..framework.output import Batches, Format
from . import view
from .arguments import Everything, Pattern

if TYPE_CHECKING:
    from ...diagnostics.inventory import Inventory

Limit = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Maximum number of rows.")]


@cli_command(
    examples=[
        "awictl keys list",
        "awictl keys list 'AWI:DIFF:*' --rate 5000",
        "awictl keys list -o jsonl | jq -r 'select(.ttl_ms == null) | .key'",
    ],
    formats=[Format.IDS],
)
def command(
    ctx: CommandContext, pattern: Pattern = None, all: Everything = False, limit: Limit = None, rate: Rate = None
) -> Work:
    """List keys with kind, TTL and size, as they are found. Uses SCAN, never KEYS."""
    return run(ctx, pattern, all, limit, rate)


async def run(
    ctx: CommandContext, pattern: str | None, everything: bool, limit: int | None, rate: float | None
) -> None:
    """Scan the keys; for a table with a progress bar, since it is printed at the end."""
    async with ctx.manager() as manager:
        inventory = manager.inventory
        size = await inventory.size() if ctx.out.chosen(Format.JSONL) is Format.TABLE else None
        with ctx.out.progress(size or 0, "scanning keys") as on_step:
            rows = _names if ctx.out.chosen(Format.JSONL) is Format.IDS else _keys
            await render(ctx, Batches(rows(inventory, pattern, everything, rate, on_step), limit), inventory.where)


async def _names(
    inventory: "Inventory", pattern: str | None, everything: bool, rate: float | None, on_step: Callable[[int], None]
) -> AsyncGenerator[list[dict[str, Any]], None]:
    async with aclosing(inventory.names(pattern, everything=everything, rate=rate, on_step=on_step)) as names:
        async for batch in names:
            yield [{"key": name} for name in batch]


async def _keys(
    inventory: "Inventory", pattern: str | None, everything: bool, rate: float | None, on_step: Callable[[int], None]
) -> AsyncGenerator[list[dict[str, Any]], None]:
    async with aclosing(inventory.keys(pattern, everything=everything, rate=rate, on_step=on_step)) as found:
        async for batch in found:
            yield [key.row() for key in batch]


async def render(ctx: CommandContext, rows: Batches, where: str) -> None:
    """Print keys as they are found."""
    await ctx.out.many(rows, view.KEYS, id_field="key", empty=f"no keys at {where}")
