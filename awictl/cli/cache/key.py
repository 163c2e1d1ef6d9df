"""`awictl cache key`."""

from typing import Any

from ..framework.command import CommandContext, Work, cli_command
from ..framework.output import Format
from .arguments import Filters, Sort, read_query


@cli_command(
    examples=[
        """awictl cache key --filters '{"category":"tech"}' --sort '{"key":"date"}'""",
        """redis-cli TTL AWI:CACHE:LIST:$(awictl cache key --filters '{"tag":"awi"}' -o ids)""",
    ],
    formats=[Format.IDS],
)
def command(ctx: CommandContext, filters: Filters = None, sort: Sort = None) -> Work:
    """Print the cache key of a query, as the app computes it. Works offline."""
    from ...settings import Settings

    return run(ctx, *read_query(filters, sort, Settings.max_delta_bytes))


async def run(ctx: CommandContext, filters: Any, sort: Any) -> None:
    """Compute the cache key."""
    from ...query_cache.cache_key import cache_key

    render(ctx, cache_key(filters, sort), filters, sort)


def render(ctx: CommandContext, cache_key: str, filters: Any, sort: Any) -> None:
    """Print the cache key; as JSON with the Redis key and the query."""
    from ...document.keys import CACHE_PREFIX

    row = {"cache_key": cache_key, "key": CACHE_PREFIX + cache_key, "filters": filters, "sort": sort}
    ctx.out.one(row, table=lambda: cache_key, ids=[cache_key])
