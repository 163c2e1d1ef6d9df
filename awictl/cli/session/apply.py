"""`awictl session apply`."""

from typing import TYPE_CHECKING, Annotated, Any

from ...errors import InvalidInput
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import NoFallback, SessionId
from ..framework.input import read_json
from ..framework.output import Format
from ..framework.params import argument, option
from ..framework.session_view import marked
from ..framework.session_view import update as update_table
from . import view

if TYPE_CHECKING:
    from ...sessions.update import Updated

Delta = Annotated[
    str | None,
    argument(metavar="[DELTA]", help="Delta: a JSON object, @FILE, or - for stdin.", show_default=False),
]
Action = Annotated[
    str | None,
    option(
        "--action", metavar="NAME", help="Name of the action to record. By default, the app's name that fits the delta."
    ),
]
Input = Annotated[
    str | None, option("--input", metavar="JSON", help="Input of the action: JSON, @FILE, or - for stdin.")
]
Observation = Annotated[
    str | None, option("--observation", metavar="TEXT", help="Observation to record with the action.")
]
Failed = Annotated[bool, option("--failed", help="Record the action as failed.")]
OpId = Annotated[
    str | None, option("--op-id", metavar="ID", help="Operation id: the update is applied at most once per id.")
]
DryRun = Annotated[bool, option("--dry-run", help="Only show what the delta would change; write nothing.")]
#: Fields that every update changes.
ALWAYS_CHANGED = ("history", "statistics", "last_updated")


@cli_command(
    examples=[
        """awictl session apply ID '{"page_state":{"filters":{"tag":"awi"}}}' --action filter""",
        "jq -n '{page_state: {route: \"/posts\"}}' | awictl session apply ID - --action get_post",
        "awictl session apply ID @delta.json --op-id import-7   # safe to repeat",
        "awictl session apply ID @delta.json --dry-run",
        "awictl session apply ID --action get_post --failed --observation 'Post not found'",
    ],
    formats=[Format.IDS],
)
def command(
    ctx: CommandContext,
    id: SessionId,
    delta: Delta = None,
    action: Action = None,
    input: Input = None,
    observation: Observation = None,
    failed: Failed = False,
    op_id: OpId = None,
    dry_run: DryRun = False,
    no_fallback: NoFallback = False,
) -> Work:
    """Merge a delta into a session, and record the action. Prints the new state without the trajectory.

    Warns about a delta that replaces an object by something else, or adds a top-level field that no session has.
    """
    if delta is None and action is None:
        raise InvalidInput("nothing to apply: pass a DELTA, or an --action to record")
    ctx.no_fallback = no_fallback
    limit = ctx.settings.max_delta_bytes
    entry: dict[str, Any] = {"success": not failed}
    if action is not None:
        entry["action"] = action
    if input is not None:
        entry["input"] = read_json(input, "--input", limit)
    if observation is not None:
        entry["observation"] = observation
    if op_id is not None:
        entry["op_id"] = op_id
    merged = read_json(delta, "the delta", limit) if delta is not None else {}
    return run_dry(ctx, id, merged, entry) if dry_run else run(ctx, id, merged, entry)


async def run(ctx: CommandContext, session_id: str, delta: Any, entry: dict[str, Any]) -> None:
    """Apply the delta, and record `entry` as the action. After Ctrl-C, say how to repeat it."""
    import asyncio

    from ...document.keys import new_op_id

    fresh = new_op_id()
    async with ctx.manager() as manager:
        try:
            updated = await manager.apply(session_id, delta, entry, fresh_op_id=fresh)
        except asyncio.CancelledError:
            raise asyncio.CancelledError(
                "outcome unknown: the update may have been applied; repeat it with "
                f"--op-id {entry.get('op_id', fresh)}, which never applies it twice"
            ) from None
    if updated.action is None:
        ctx.out.notice(f"{updated.op_id} was already applied: nothing was changed")
    if updated.degraded:
        ctx.out.notice(
            "Redis is unreachable: the update is recorded in MongoDB, and is applied to Redis when that is back"
        )
    _warn(ctx, updated, delta)
    render(ctx, session_id, updated)


async def run_dry(ctx: CommandContext, session_id: str, delta: Any, entry: dict[str, Any]) -> None:
    """Show what the delta would change."""
    from ...document.merge import compare

    async with ctx.manager() as manager:
        updated = await manager.preview(session_id, delta, entry)
    _warn(ctx, updated, delta)
    before, after = (
        {name: value for name, value in (state or {}).items() if name not in ALWAYS_CHANGED}
        for state in (updated.before, updated.head)
    )
    comparison = compare(before, after)
    if not comparison:
        ctx.out.notice("the delta would change nothing")
    ctx.out.notice("dry run: nothing was written")
    row = {"session_id": session_id, "changes": comparison.delta, "state": updated.head}
    ctx.out.one(row, table=lambda: view.changes(before, after, comparison, view.EFFECTS), ids=[session_id])


def _warn(ctx: CommandContext, updated: "Updated", delta: Any) -> None:
    from ...sessions.delta_warnings import delta_warnings

    for warning in delta_warnings(updated.before, delta) if updated.before is not None else ():
        ctx.out.notice(f"warning: {warning}")


def render(ctx: CommandContext, session_id: str, updated: "Updated") -> None:
    """Print the state after the update."""
    head = marked(updated.head, updated.degraded)
    ctx.out.one(head, table=lambda: update_table(updated.action, updated.head), ids=[session_id])
