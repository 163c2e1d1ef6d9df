"""`awictl session diff`."""

from typing import Annotated, Any

from ...document.merge import DocumentDifference, compare
from ...document.schema import OWN_FIELDS
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import SessionId
from ..framework.params import CommandExit, argument, option
from ..framework.parsers import plain_id
from ..framework.session_view import last_delta, marked
from . import view

OtherId = Annotated[
    str | None, argument(metavar="[ID2]", help="Id of another session.", show_default=False, callback=plain_id)
]
AllFields = Annotated[bool, option("--all", help="Also compare ids, histories and statistics.")]
ExitCode = Annotated[bool, option("--exit-code", help="Exit with 1 if there is a difference.")]


@cli_command(
    examples=[
        "awictl session diff ID   # the last delta, and its action",
        "awictl session diff ID1 ID2   # the fields in which two states differ",
        "awictl session diff ID1 ID2 --exit-code -q -o json",
    ],
)
def command(
    ctx: CommandContext, id: SessionId, other: OtherId = None, all: AllFields = False, exit_code: ExitCode = False
) -> Work:
    """Print the last delta of a session, or compare two sessions. The last delta is kept for five minutes."""
    return run(ctx, id, other, all, exit_code)


async def run(ctx: CommandContext, session_id: str, other: str | None, all_fields: bool, exit_code: bool) -> None:
    """Print the last delta of a session, or the difference from the `other` one."""
    async with ctx.manager() as manager:
        if other is None:
            last, degraded = await manager.find_diff(session_id)
            if degraded:
                ctx.out.notice("Redis is unreachable and may have a newer state: this is the last update in MongoDB")
            differs = last is not None
            if last is None:
                ctx.out.notice(f"{session_id} was not updated in the last five minutes")
            shown = marked(last, degraded) if last else None
            ctx.out.one(shown, table=lambda: last_delta(last) if last else "no delta")
        else:
            documents = [manager.decoded(one, await manager.read_session(one)) for one in (session_id, other)]
            first, second = (one if all_fields else _state(one) for one in documents)
            comparison = compare(first, second)
            differs = bool(comparison)
            render(ctx, first, second, comparison)
    if exit_code and differs:
        raise CommandExit(1)


def _state(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in OWN_FIELDS}


def render(ctx: CommandContext, first: dict[str, Any], second: dict[str, Any], comparison: DocumentDifference) -> None:
    """Print where two states differ."""
    if not comparison:
        ctx.out.notice("the states are equal")
    ctx.out.one(
        {"delta": comparison.delta, "removed": comparison.removed},
        table=lambda: view.changes(first, second, comparison) if comparison else None,
    )
