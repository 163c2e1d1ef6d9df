"""`awictl session replay`."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from ...errors import InvalidInput, NotFound
from ..framework import whole_view
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import SessionId
from ..framework.moments import moment_of
from ..framework.params import option
from ..framework.parsers import check_finite
from ..framework.stdout import is_terminal

if TYPE_CHECKING:
    from ...document.history.frames import Frame
    from ...document.history.moments import Moment
    from ...document.history.timeline import Step, Timeline
    from ...sessions.whole_session import WholeSession
    from .player import Player

From = Annotated[
    str | None,
    option("--from", metavar="T", help="Start with this action: its number, a time such as 12:05:30, or -5m."),
]
To = Annotated[str | None, option("--to", metavar="T", help="Stop after this action.")]
Speed = Annotated[
    float,
    option("--speed", min=0.01, metavar="N", callback=check_finite, help="Play N times as fast as it was recorded."),
]
StepByStep = Annotated[bool, option("--step", help="Do not play, but wait for keys.")]

#: So many lines of JSON are made before other work, such as ending at Ctrl-C, has its turn.
_ROWS_AT_ONCE = 16


@cli_command(
    examples=[
        "awictl session replay ID",
        "awictl session replay ID --from 12:05:30 --speed 4",
        "awictl session replay ID --from 100 --to 120 --step",
        "awictl session replay ID | jq -c '[.t, .action, .changed]'",
    ],
)
def command(
    ctx: CommandContext,
    id: SessionId,
    start: From = None,
    stop: To = None,
    speed: Speed = 1.0,
    step: StepByStep = False,
) -> Work:
    """Replay a session: each action, the fields that it changed, and the state after it.

    A terminal plays it at the pace of its timestamps; long pauses are shortened. Keys: space pauses, n and p step, g
    jumps to an action, + and - change the speed, q quits, ? shows help. Elsewhere, each action is a line of JSON.
    """
    return run(ctx, id, moment_of("--from", start), moment_of("--to", stop), speed, step)


async def run(
    ctx: CommandContext, session_id: str, start: "Moment | None", stop: "Moment | None", speed: float, step: bool
) -> None:
    """Load the session, and play it on a terminal, or print it elsewhere."""
    async with ctx.manager() as manager:
        whole = await manager.time_travel.whole(session_id)
    for notice in whole_view.notices(whole):
        ctx.out.notice(notice)
    first, last = _range(whole, start, stop)
    if ctx.out.live and is_terminal(sys.stdin):
        await _play(ctx, whole, first, last, speed, step)
        return
    if step and is_terminal(sys.stdout):
        raise InvalidInput("--step waits for keys: stdin and stdout must be a terminal that can move its cursor")
    await render(ctx, whole, first, last, speed)


def _range(whole: "WholeSession", start: "Moment | None", stop: "Moment | None") -> tuple[int, int]:
    """The indexes of the first and the last action between two moments. Raises NotFound if there is none."""
    from datetime import UTC, datetime

    from ...document.history.moments import steps_between

    steps, timeline = whole.steps, whole.timeline
    between = {id(one) for one in steps_between(timeline, start, stop, datetime.now(UTC))}
    found = [at for at, one in enumerate(steps) if id(one) in between and not one.overwritten]
    if not found:
        raise NotFound(f"{whole.session_id} has no action in that range: it has {timeline.first} to {timeline.last}")
    first = index = found[0]
    while index and steps[index - 1].overwritten:  # in front of what took their place
        index -= 1
        first = index if id(steps[index]) in between else first
    return first, found[-1]


async def _play(ctx: CommandContext, whole: "WholeSession", first: int, last: int, speed: float, step: bool) -> None:
    """Play on the full screen until the user quits. The terminal is restored at the end."""
    from rich.live import Live

    from ...document.history.frames import Frames
    from ...document.history.timeline import time_of
    from ..framework.keyboard import Keyboard
    from ..framework.live_terminal import LiveTerminal
    from .player import Player
    from .replay_view import ReplayScreen, title_of

    timeline = whole.timeline
    frames = Frames(timeline)
    title = title_of(whole.session_id, timeline.head)
    keyboard = Keyboard()
    terminal = LiveTerminal(lambda: Live(console=ctx.out.console(), screen=True, auto_refresh=False), keyboard)
    player = Player(
        [time_of(one) for one in timeline.steps],
        partial(_index_of, timeline),
        time.monotonic,
        start=first,
        stop=last,
        speed=speed,
        playing=not step,
    )
    with terminal.running():
        while not player.ended:
            terminal.show(ReplayScreen(title, frames[player.index], player))
            await _wait(player, keyboard.keys)


async def _wait(player: "Player", keys: "asyncio.Queue[str]") -> None:
    """Wait for keys, or until the next action is due."""
    try:
        async with asyncio.timeout(player.remaining):
            player.press(await keys.get())
    except TimeoutError:
        player.play_next()
    while not keys.empty():  # keys that are pressed faster than the screen is drawn
        player.press(keys.get_nowait())


def _index_of(timeline: "Timeline", text: str) -> int:
    """The index of the action that a user names. Raises InvalidInput, NotFound."""
    from datetime import UTC, datetime

    from ...document.history.moments import parse_moment_of

    ordinal = parse_moment_of(text).in_(timeline, datetime.now(UTC))
    timeline.state_at(ordinal)  # raises NotFound, and says which there are
    return next(index for index, one in enumerate(timeline.steps) if one.ordinal == ordinal and not one.overwritten)


async def render(ctx: CommandContext, whole: "WholeSession", first: int, last: int, speed: float) -> None:
    """Print each action with what it changed: as JSON at once; as lines of text on a terminal at its pace."""
    from ...document.history.frames import frames
    from ..framework.session_view import marked

    async def rows() -> AsyncGenerator[dict[str, Any], None]:
        for number, frame in enumerate(frames(whole.timeline, first, last + 1)):
            yield marked(frame.row(), whole.degraded)
            if number % _ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)

    if ctx.out.is_table:
        await _print_lines(ctx, frames(whole.timeline, first, last + 1), speed)
        return
    async with aclosing(rows()) as found:
        await ctx.out.many(found, [])


async def _print_lines(ctx: CommandContext, found: "Iterable[Frame]", speed: float) -> None:
    from ...document.history.timeline import time_of
    from .player import pause_between
    from .replay_view import frame_lines, shortened_pause

    paced = is_terminal(sys.stdout)
    earlier: Step | None = None
    for frame in found:
        if paced and earlier is not None:
            pause = pause_between(time_of(earlier), time_of(frame.step), speed)
            if pause.is_shortened:
                ctx.out.line(None, partial(iter, [f"! {shortened_pause(pause)}"]))
            await asyncio.sleep(pause.shown)
        ctx.out.line(None, partial(frame_lines, frame))
        earlier = frame.step
