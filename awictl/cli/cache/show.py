"""`awictl cache show`."""

from typing import TYPE_CHECKING

from ..framework.command import CommandContext, Work, cli_command
from ..framework.each_id import are_several, each
from ..framework.output import Format
from ..framework.stdout import write
from ..framework.tables import printable_json
from .arguments import Keys

if TYPE_CHECKING:
    from ...query_cache.cache import QueryCache


@cli_command(
    examples=["awictl cache show 05924ac34f1a295ad31aa9941c665c32", "awictl cache show KEY | jq length"],
    formats=[Format.RAW],
)
def command(ctx: CommandContext, keys: Keys) -> Work:
    """Print cached results."""
    return run(ctx, keys)


async def run(ctx: CommandContext, keys: list[str]) -> None:
    """Read and print the results of each key."""
    async with ctx.manager() as manager:

        async def one(key: str) -> None:
            render(ctx, manager.cache, key, await manager.cache.raw(key), key if are_several(keys) else None)

        await each(ctx, keys, one)


def render(ctx: CommandContext, cache: "QueryCache", key: str, raw: bytes, title: str | None) -> None:
    """Print cached results. Raises InvalidData if they cannot be decoded, unless their bytes are printed."""
    if ctx.out.format is Format.RAW:
        write(raw)
        return
    results = cache.decoded(key, raw)
    ctx.out.one(results, table=lambda: printable_json(results), title=title)
