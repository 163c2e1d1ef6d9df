"""`awictl cache put`."""

from typing import TYPE_CHECKING, Annotated, Any

from ...errors import InvalidInput
from ..framework.command import CommandContext, Work, cli_command
from ..framework.input import read_json
from ..framework.output import Format
from ..framework.params import argument, option
from ..framework.parsers import plain_id
from ..framework.tables import Rows
from . import view
from .arguments import Filters, Sort, read_query

if TYPE_CHECKING:
    from ...query_cache.cache import Cached

Results = Annotated[
    str, argument(metavar="RESULTS", help="Results: a JSON array, @FILE, or - for stdin.", show_default=False)
]
SessionOption = Annotated[
    str | None,
    option(
        "--session", metavar="ID", callback=plain_id, help="Session in which to record the query as the active one."
    ),
]
OpId = Annotated[
    str | None, option("--op-id", metavar="ID", help="Operation id: the query is recorded at most once per id.")
]


@cli_command(
    examples=[
        """awictl cache put '[{"id":"post_1"}]' --filters '{"tag":"awi"}' --sort '{"key":"date"}'""",
        """curl -s $SITE/posts | jq .posts | awictl cache put - --filters '{"tag":"awi"}' --session ID""",
    ],
    formats=[Format.IDS],
)
def command(
    ctx: CommandContext,
    results: Results,
    filters: Filters = None,
    sort: Sort = None,
    session: SessionOption = None,
    op_id: OpId = None,
) -> Work:
    """Cache the results of a query, as the app does. With --session, the session records it as an action."""
    if op_id is not None and session is None:
        raise InvalidInput("--op-id requires --session")
    settings = ctx.settings
    query = read_query(filters, sort, settings.max_delta_bytes)
    value = read_json(results, "the results", settings.max_document_bytes, "AWI_MAX_DOCUMENT_BYTES")
    return run(ctx, *query, value, session, op_id)


async def run(
    ctx: CommandContext, filters: Any, sort: Any, results: Any, session_id: str | None, op_id: str | None
) -> None:
    """Cache the results."""
    async with ctx.manager() as manager:
        cached = await manager.cache.put(filters, sort, results, session_id=session_id, op_id=op_id)
    render(ctx, cached)


def render(ctx: CommandContext, cached: "Cached") -> None:
    """Print what was cached."""
    ctx.out.one(cached.row(), table=lambda: Rows([cached.row()], view.CACHED), ids=[cached.cache_key])
