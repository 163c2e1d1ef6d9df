"""`awictl session watch`."""

import sys
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Interval, Seconds, SessionId
from ..framework.session_view import LATEST_ACTIONS
from . import view
from .follow import follow

if TYPE_CHECKING:
    from ...diagnostics.follow import Event


@cli_command(
    examples=[
        "awictl session watch ID",
        "awictl session watch ID --interval 0.2 --seconds 60",
        "awictl session watch ID -o jsonl | jq -c .delta",
    ],
)
def command(
    ctx: CommandContext,
    id: SessionId,
    interval: Interval = "1s",  # type: ignore[assignment]  # parsed as an option is
    seconds: Seconds = None,
) -> Work:
    """Watch a session: its state and its newest actions, as they change.

    A terminal is redrawn in place, with recent changes marked by a *; elsewhere each change is a line. Stops when the
    session is gone, after --seconds, or at Ctrl-C.
    """
    return (run_live if ctx.out.live else run)(ctx, id, interval, seconds)


async def run(ctx: CommandContext, session_id: str, interval: float, seconds: float | None) -> None:
    """Print a line for each change."""
    async with aclosing(follow(ctx, session_id, LATEST_ACTIONS, interval, seconds)) as events:
        async for event in events:
            if event.kind not in ("nothing", "away"):
                render(ctx, session_id, event)


async def run_live(ctx: CommandContext, session_id: str, interval: float, seconds: float | None) -> None:
    """Redraw the session in place; the last picture stays on the terminal."""
    from rich.live import Live

    from ..framework.live_terminal import LiveTerminal
    from .live_view import LiveView

    drawn = LiveView()
    notices = sys.stderr is not None and sys.stderr.isatty()  # they are printed above the picture
    terminal = LiveTerminal(lambda: Live(console=ctx.out.console(), auto_refresh=False, redirect_stderr=notices))
    with terminal.running():
        async with aclosing(follow(ctx, session_id, LATEST_ACTIONS, interval, seconds)) as events:
            async for event in events:
                terminal.show(drawn.after(event))


def render(ctx: CommandContext, session_id: str, event: "Event") -> None:
    """Print an event: as JSON the whole state at first, then what changed."""
    row: dict[str, Any] = {"event": event.kind, "at": event.at, "session_id": session_id}
    row |= {"ttl_ms": event.ttl_ms, "total": event.total}
    if event.kind == "session":
        row["state"] = event.head
    else:
        row |= {"delta": event.changes.delta, "removed": event.changes.removed, "missed": event.missed}
    ctx.out.line(row | {"actions": list(event.actions)}, partial(view.event_lines, event))
