"""`awictl cache diagnose`."""

from typing import TYPE_CHECKING, Annotated, Any

from ...errors import InvalidInput
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Rate
from ..framework.params import CommandExit, option
from ..framework.parsers import plain_id
from . import view
from .arguments import Filters, Sort, read_query

if TYPE_CHECKING:
    from ...query_cache.diagnose import Diagnosis
    from ...sessions.manager import StateManager

SessionOption = Annotated[
    str | None,
    option("--session", metavar="ID", callback=plain_id, help="Diagnose the current query of this session."),
]
NoSessions = Annotated[bool, option("--no-sessions", help="Do not scan the sessions for similar queries.")]
ExitCode = Annotated[bool, option("--exit-code", help="Exit with 1 if the query is not cached.")]


@cli_command(
    examples=[
        """awictl cache diagnose --filters '{"tag":"awi","page":2}' --sort '{"key":"date","order":"desc"}'""",
        "awictl cache diagnose --session ID   # the query that this session is at",
    ],
)
def command(
    ctx: CommandContext,
    filters: Filters = None,
    sort: Sort = None,
    session: SessionOption = None,
    rate: Rate = None,
    no_sessions: NoSessions = False,
    exit_code: ExitCode = False,
) -> Work:
    """Explain why a query is or is not cached.

    Reports other spellings of the query, similar queries that are cached, and the sessions that cached it, and when.
    """
    if session is not None and (filters is not None or sort is not None):
        raise InvalidInput("--session cannot be combined with --filters or --sort")
    query = read_query(filters, sort, ctx.settings.max_delta_bytes)
    return run(ctx, query, session, rate, not no_sessions, exit_code)


async def run(
    ctx: CommandContext,
    query: tuple[Any, Any],
    session_id: str | None,
    rate: float | None,
    sessions: bool,
    exit_code: bool,
) -> None:
    """Diagnose the query, or that of a session."""
    async with ctx.manager() as manager:
        if session_id is not None:
            query = await _query_of(manager, session_id)
        found = await manager.diagnose_query(*query, rate=rate, sessions=sessions)
    render(ctx, found)
    if exit_code and not found.hit:
        raise CommandExit(1)


async def _query_of(manager: "StateManager", session_id: str) -> tuple[Any, Any]:
    """Filters and sort order of the query that a session is at. Raises NotFound, InvalidData."""
    from ...query_cache.diagnose import checked_query

    return checked_query(session_id, manager.decoded(session_id, await manager.read_session(session_id)))


def render(ctx: CommandContext, found: "Diagnosis") -> None:
    """Print the diagnosis."""
    ctx.out.one(found.row(), table=lambda: view.diagnosis(found))
