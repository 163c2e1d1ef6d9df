"""`awictl session apply`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import InvalidInput
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import SessionId
from ..framework.input import read_json
from ..framework.output import Format
from ..framework.session_view import update as update_table

if TYPE_CHECKING:
    from ...sessions.update import Updated

Delta = Annotated[
    str | None,
    typer.Argument(metavar="[DELTA]", help="Delta: a JSON object, @FILE, or - for stdin.", show_default=False),
]
Action = Annotated[str | None, typer.Option("--action", metavar="NAME", help="Name of the action to record.")]
Input = Annotated[
    str | None, typer.Option("--input", metavar="JSON", help="Input of the action: JSON, @FILE, or - for stdin.")
]
Observation = Annotated[
    str | None, typer.Option("--observation", metavar="TEXT", help="Observation to record with the action.")
]
Failed = Annotated[bool, typer.Option("--failed", help="Record the action as failed.")]
OpId = Annotated[
    str | None, typer.Option("--op-id", metavar="ID", help="Operation id: the update is applied at most once per id.")
]


@cli_command(
    examples=[
        """awictl session apply ID '{"page_state":{"filters":{"tag":"awi"}}}' --action filter""",
        "jq -n '{page_state: {route: \"/posts\"}}' | awictl session apply ID - --action page_update",
        "awictl session apply ID @delta.json --op-id import-7   # safe to repeat",
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
) -> Work:
    """Merge a delta into a session, and record the action. Prints the new state without the trajectory."""
    if delta is None and action is None:
        raise InvalidInput("nothing to apply: pass a DELTA, or an --action to record")
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
    return run(ctx, id, read_json(delta, "the delta", limit) if delta is not None else {}, entry)


async def run(ctx: CommandContext, session_id: str, delta: Any, entry: dict[str, Any]) -> None:
    """Apply the delta, and record `entry` as the action."""
    async with ctx.manager() as manager:
        updated = await manager.apply(session_id, delta, entry)
    if updated.action is None:
        ctx.out.notice(f"{updated.op_id} was already applied: nothing was changed")
    render(ctx, session_id, updated)


def render(ctx: CommandContext, session_id: str, updated: "Updated") -> None:
    """Print the state after the update."""
    ctx.out.one(updated.head, table=lambda: update_table(updated.action, updated.head), ids=[session_id])
