"""`awictl session compare`."""

from typing import TYPE_CHECKING, Annotated

from ...errors import InvalidInput
from ..framework import whole_view
from ..framework.command import CommandContext, Work, cli_command
from ..framework.params import CommandExit, argument, option
from ..framework.parsers import plain_id
from .session_file import is_file, read_session

if TYPE_CHECKING:
    from ...document.history.run_comparison import RunComparison
    from ...sessions.whole_session import WholeSession

_HELP = "Session id, or a FILE with a session as `session show` or `session export` prints it; - is stdin."
First = Annotated[str, argument(metavar="ID|FILE", help=_HELP, show_default=False, callback=plain_id)]
Second = Annotated[str, argument(metavar="ID|FILE", help="Another one.", show_default=False, callback=plain_id)]
ExitCode = Annotated[bool, option("--exit-code", help="Exit with 1 if there is a difference.")]


@cli_command(
    examples=[
        "awictl session compare ID1 ID2",
        "awictl session compare ID yesterday.json",
        "awictl session compare ID export.jsonl   # with the session of the same id, or the only one",
        "awictl session compare ID1 ID2 -o json | jq .divergence",
        "ssh staging awictl session show ID2 | awictl session compare ID1 -",
    ],
)
def command(ctx: CommandContext, first: First, second: Second, exit_code: ExitCode = False) -> Work:
    """Compare the actions of two sessions: where they diverge, and which actions had another outcome.

    Actions are the same if their names and inputs are. An argument that is not a session id (sess_ and more) is a file.
    """
    if first == second == "-":
        raise InvalidInput("only one of the two sessions can be read from stdin")
    limit = ctx.settings.max_document_bytes
    given: list[str | WholeSession] = [
        read_session(one, limit, None if is_file(other) else other) if is_file(one) else one
        for one, other in ((first, second), (second, first))
    ]
    return run(ctx, (first, second), given, exit_code)


async def run(ctx: CommandContext, names: tuple[str, str], given: "list[str | WholeSession]", exit_code: bool) -> None:
    """Find the sessions that are given by their ids, and compare both."""
    async with ctx.manager() as manager:
        wholes = [await manager.time_travel.whole(one) if isinstance(one, str) else one for one in given]
        found = await manager.time_travel.compare(*wholes)
    render(ctx, names, wholes, found)
    if exit_code and not found.equal:
        raise CommandExit(1)


def render(ctx: CommandContext, names: tuple[str, str], wholes: "list[WholeSession]", found: "RunComparison") -> None:
    """Print the comparison."""
    from . import compare_view

    for whole in wholes:
        for notice in whole_view.notices(whole):
            ctx.out.notice(notice)
    sides = [
        {
            "session_id": whole.session_id,
            "file": name if is_file(name) else None,
            "total": len(whole.steps),
            "gaps": whole_view.gap_rows(whole),
        }
        for name, whole in zip(names, wholes, strict=True)
    ]
    ctx.out.one(
        {"first": sides[0], "second": sides[1], **found.row()},
        table=lambda: compare_view.comparison(sides, found),
    )
