"""Commands that follow a session. They write nothing, and put off no expiry."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from ...document.merge import pointer
from ...document.schema import as_object
from ...util.humanize import lifetime
from ..options import Interval, Run, Seconds, SessionId, command
from ..tables import Column, Rows, compact, fields_of
from . import view
from .group import app

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ...diagnostics.follow import Event

#: Where an action that is drawn keeps until which look it is marked.
_MARK = "\0until"
#: Newest actions that are shown, and looks for which a change stays marked.
SHOWN_ACTIONS = view.LATEST_ACTIONS
MARKED_LOOKS = 3


@command(
    app,
    "watch",
    examples=[
        "awictl session watch ID",
        "awictl session watch ID --interval 0.2 --seconds 60",
        "awictl session watch ID -o jsonl | jq -c .delta",
    ],
)
async def watch(
    run: Run,
    id: SessionId,
    interval: Interval = "1s",  # type: ignore[assignment]  # parsed as an option is
    seconds: Seconds = None,
) -> None:
    """Watch a session: its state and its newest actions as they change, with what changed marked by a *.

    Ends when the session does, after --seconds, or at Ctrl-C. Where stdout is no terminal each change is a line.
    """
    if run.out.live:
        await _draw(run, id, interval, seconds)
        return
    async with aclosing(_events(run, id, SHOWN_ACTIONS, interval, seconds)) as events:
        async for event in events:
            if event.kind not in ("nothing", "away"):
                run.out.line(_row(id, event), partial(_lines, event))


async def follow_history(run: Run, session_id: str, limit: int, interval: float, seconds: float | None) -> None:
    """Print the newest `limit` actions of a session, oldest first, and then each new one as it comes."""
    async with aclosing(_events(run, session_id, limit, interval, seconds)) as events:
        async for event in events:
            if event.missed:
                run.out.notice("some actions came and left again between two looks: take a shorter --interval")
            for action in map(as_object, event.actions):
                run.out.line(action, partial(_action_lines, action))


async def _events(
    run: Run, session_id: str, latest: int, interval: float, seconds: float | None
) -> "AsyncGenerator[Event, None]":
    """What happens in a session until it is over, or the time is. What is to be known of it is told on stderr."""
    from ...diagnostics.follow import Follower

    loop = asyncio.get_running_loop()
    deadline: float | None = None  # from the first look on, which there always is
    async with (
        run.manager() as manager,
        aclosing(Follower(manager.store, manager.get_archived_session, session_id, interval).events(latest)) as events,
    ):
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    event = await anext(events, None)
            except TimeoutError:
                return
            if deadline is None and seconds is not None:
                deadline = loop.time() + seconds
            if event is None:
                return
            if event.kind == "away":
                run.out.notice(f"{event.message} (trying again)")
            elif event.kind == "back":
                run.out.notice("it can be read again")
            elif event.kind == "gone":
                run.out.notice(event.message)
            yield event


def _row(session_id: str, event: "Event") -> dict[str, Any]:
    """A look as plain data: at first the whole state, then what changed in it."""
    row: dict[str, Any] = {"event": event.kind, "at": event.at, "session_id": session_id}
    row |= {"ttl_ms": event.ttl_ms, "total": event.total}
    if event.kind == "session":
        row["state"] = event.head
    else:
        row |= {"delta": event.changes.delta, "removed": event.changes.removed, "missed": event.missed}
    return row | {"actions": list(event.actions)}


def _lines(event: "Event") -> Iterator[str]:
    """A look in lines of text: the fields first, then the actions."""
    at = view.moment(event.at)
    if event.kind == "session":
        for name, value in view.facts(event.head, event.total or 0, lifetime(event.ttl_ms)):
            yield f"{at}  {name}: {value}"
    for place, value in _leaves(event.changes.delta, ""):
        yield f"{at}  {place} = {compact(value)}"
    for place in event.changes.removed:
        yield f"{at}  {place} is gone"
    for action in map(as_object, event.actions):
        yield from _action_lines(action)


def _leaves(delta: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, value in delta.items():
        place = pointer(path, key)
        if isinstance(value, dict) and value:
            yield from _leaves(value, place)
        else:
            yield place, value


def _action_lines(action: Mapping[str, Any]) -> Iterator[str]:
    cells = [column.cell(action) for column in view.ACTIONS]
    yield "  ".join(
        [cells[1], f"#{cells[0]}", *cells[2:3], {"NO": "FAILED", "yes": "ok"}.get(cells[3], "-"), *cells[4:]]
    )


# -- on a terminal


async def _draw(run: Run, session_id: str, interval: float, seconds: float | None) -> None:
    """Draw the session in place, for as long as it is followed; what was drawn last stays."""
    from rich.live import Live

    picture = _Picture()
    notices = sys.stderr is not None and sys.stderr.isatty()  # those go above the picture
    with Live(console=run.out.console(), auto_refresh=False, redirect_stderr=notices) as live:
        async with aclosing(_events(run, session_id, SHOWN_ACTIONS, interval, seconds)) as events:
            async for event in events:
                live.update(picture.of(event), refresh=True)


class _Picture:
    """A session as it is drawn: what changed lately is marked by a *."""

    def __init__(self) -> None:
        self._facts: dict[str, str] = {}
        self._actions: list[Mapping[str, Any]] = []
        #: Until which look each fact is marked; the actions have the same in them.
        self._marks: Counter[str] = Counter()
        self._ttl_ms: int | None = None
        self._looks = 0

    def of(self, event: "Event") -> "RenderableType":
        """What to draw after this look."""
        from rich.console import Group

        self._looks += 1
        self._ttl_ms = event.ttl_ms if event.ttl_ms is not None else self._ttl_ms
        first = event.kind == "session"
        facts = dict(view.facts(event.head, event.total or 0, None))
        for name, value in facts.items():
            if not first and self._facts.get(name) != value:
                self._marks[name] = self._looks + MARKED_LOOKS
        self._facts = facts
        new = [as_object(one) for one in reversed(event.actions)]
        until = 0 if first else self._looks + MARKED_LOOKS
        self._actions = [*({**one, _MARK: until} for one in new), *self._actions][:SHOWN_ACTIONS]
        shown = [
            ("  expires in", "gone" if event.kind == "gone" else lifetime(self._ttl_ms)),
            *((f"{self._mark(self._marks[name])} {name}", value) for name, value in facts.items()),
        ]
        columns = [Column("", lambda row: self._mark(row[_MARK])), *view.ACTIONS]
        return Group(fields_of(shown), "", Rows(self._actions, columns)) if self._actions else fields_of(shown)

    def _mark(self, until: int) -> str:
        return "*" if until > self._looks else " "
