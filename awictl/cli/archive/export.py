"""`awictl archive export`."""

from typing import TYPE_CHECKING, Annotated, Any

from ...archive.base import ArchiveQuery
from ...errors import AwiError, InvalidInput
from ..framework.archived_view import is_incomplete
from ..framework.command import CommandContext, Work, cli_command
from ..framework.each_id import EachId, each, outcome_of
from ..framework.output import Format
from ..framework.params import argument, option
from ..framework.stdout import flush
from .filters import Agent, Failed, Since, Until, load

if TYPE_CHECKING:
    from ...archive.base import Archived

Ids = Annotated[
    list[str] | None,
    argument(metavar="[ID...]", help="Session ids, or - to read them from stdin.  [default: all that match]"),
]
#: What is reported of an incomplete session.
_REPORTED = ("state", "last_seen_at", "missing_actions", "gaps", "overwritten_actions")

Actions = Annotated[bool, option("--actions", help="Print one action per line instead of one session per line.")]


@cli_command(
    examples=[
        "awictl archive export --since 30d > sessions.jsonl",
        "awictl archive export --agent browser-1 --actions | jq -c 'select(.success)'",
        "awictl archive export ID",
    ],
    common=[Format.JSONL],
)
def command(
    ctx: CommandContext,
    ids: Ids = None,
    agent: Agent = None,
    since: Since = None,
    until: Until = None,
    failed: Failed = False,
    actions: Actions = False,
) -> Work:
    """Print archived sessions as JSON lines: complete documents, or their actions."""
    query = ArchiveQuery(agent, since, until, failed)
    if ids and query != ArchiveQuery():
        raise InvalidInput("session ids and filters cannot be combined")
    return run(ctx, ids, query, actions)


async def run(ctx: CommandContext, ids: list[str] | None, query: ArchiveQuery, actions: bool) -> None:
    """Load and print each session; without ids those that match the query, in bounded batches."""
    from ...archive.bulk_load import id_batches

    async with ctx.manager() as manager:
        if ids:

            async def one(session_id: str) -> None:
                render(ctx, await load(manager, session_id), actions)

            await each(ctx, ids, one)
            return
        archive = await manager.existing_archive()

        async def many(batch: list[str]) -> list[Exception | None]:
            found = await archive.load_many(batch)

            async def one(session_id: str) -> None:
                archived = found.pop(session_id, None)  # None: it was pruned or erased meanwhile
                if isinstance(archived, AwiError):
                    raise archived
                if archived is not None:
                    render(ctx, archived, actions)

            return [await outcome_of(one, session_id) for session_id in batch]

        sessions = EachId(ctx, id_batches(archive, query))
        async for _ in sessions.batches(many):
            pass
    sessions.exit()


def render(ctx: CommandContext, archived: "Archived", actions: bool) -> None:
    """Print a session as one line, or each of its actions as one."""
    for line in _actions(archived) if actions else [_document(archived)]:
        ctx.out.json_line(line)
    flush()


def _document(archived: "Archived") -> dict[str, Any]:
    """The document of a session; if it is incomplete, with what the archive knows of that in a field of its own."""
    if not is_incomplete(archived.summary):
        return archived.document
    row = archived.summary.row()
    return archived.document | {"awi_archive": {name: row[name] for name in _REPORTED}}


def _actions(archived: "Archived") -> list[dict[str, Any]]:
    """The gaps and then the actions of a session, each with the ids of session and agent."""
    own = {"session_id": archived.summary.session_id, "agent_id": archived.summary.agent_id}
    gaps = [own | {"gap": gap.row()} for gap in archived.summary.gaps]
    return gaps + [
        own | (action if isinstance(action, dict) else {"action": action})
        for action in archived.document["history"]["actions"]
    ]
