"""How `session replay` shows an action and the state after it: as lines of text, and as a full screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from ...document.history.frames import ChangeKind, FieldChange, Frame
from ...document.history.partial_state import ABSENT, UNKNOWN
from ...document.merge import leaves, value_at
from ...util.humanize import duration
from ..framework.cells import known, moment, shortened
from ..framework.escape import printable
from ..framework.layout import cut, folded
from ..framework.session_view import ACTIONS
from ..framework.stdout import can_print
from ..framework.tables import compact
from .player import Pause, Player

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

#: The marks of changed fields, which show without colors, too; and their styles.
MARKS = {
    ChangeKind.CHANGED: ("*", "yellow"),
    ChangeKind.NEW: ("+", "green"),
    ChangeKind.REMOVED: ("-", "red"),
    ChangeKind.UNKNOWN: ("?", "cyan"),
}
#: Characters of a value that are shown in a line of text, or in one that is cut.
SHOWN_CHARACTERS = 1000
#: Lines of the screen around the part that can be scrolled.
_FIXED_LINES = 4

KEYS = "? help  q quit  space play/pause  n p next/previous  g jump"
HELP = [
    "space           play or pause",
    "right, n        next action",
    "left, p         previous action",
    "Page Down, Up   10 actions on or back",
    "Home, End       first or last action",
    "g, :            go to an action",
    "+ -             play faster or slower",
    "up, down        scroll",
    "q, Ctrl-C       quit",
    "?               show or hide this help",
    "",
    "* changed   + new   - removed",
    "? not known before or after the action",
]


def frame_lines(frame: Frame) -> Iterator[str]:
    """A frame as lines of text: the action, and below it what it changed."""
    cells = [shortened(column.cell(_action(frame)), SHOWN_CHARACTERS) for column in ACTIONS]
    for note in notes(frame):
        yield f"! {note}"
    yield "  ".join([cells[1], f"#{number(frame)}", cells[2], outcome(frame), *cells[4:]])
    for change in frame.changes():
        mark, text = marked_change(change, SHOWN_CHARACTERS)
        yield f"    {mark} {text}"


def number(frame: Frame) -> str:
    """The number of an action: its `t`, and its ordinal if that is another one."""
    t, ordinal = _action(frame).get("t"), frame.step.ordinal
    return str(t) if t == ordinal else f"{known(t)} (action {ordinal})"


def outcome(frame: Frame) -> str:
    """Whether an action succeeded."""
    return {"true": "ok", "false": "FAILED"}.get(known(_action(frame).get("success")), "-")


def notes(frame: Frame) -> Iterator[str]:
    """What to know of an action besides."""
    if frame.gap is not None:
        first, last = frame.gap
        which = "an unknown number of actions" if last is None else f"action {first}"
        which = which if last in (None, first) else f"actions {first} to {last}"
        yield f"{which} before this one {'is' if last == first else 'are'} missing"
    if frame.step.overwritten:
        yield "overwritten by another writer: what it changed is in no later state"


def shortened_pause(pause: Pause) -> str:
    """What to know of a pause that is shortened."""
    recorded, shown = (duration((seconds or 0) * 1000) for seconds in pause)
    return f"the pause of {recorded} that follows is shortened to {shown}"


def marked_change(change: FieldChange, length: int) -> tuple[str, str]:
    """The mark of a change, and its text. `length`: the number of characters of each value that are shown."""
    before, after = (_value(one, length) for one in (change.before, change.after))
    arrow = "→" if can_print("→") else "->"
    text = {
        ChangeKind.NEW: after,
        ChangeKind.REMOVED: f"{before} {arrow} removed",
    }.get(change.kind, f"{before} {arrow} {after}")
    return MARKS[change.kind][0], f"{shortened(change.field, length)}: {text}"


def _value(value: Any, length: int) -> str:
    return "unknown" if value is UNKNOWN else "" if value is ABSENT else shortened(compact(value), length)


def _action(frame: Frame) -> Mapping[str, Any]:
    action = frame.step.action
    return action if isinstance(action, dict) else {"action": action}


@dataclass(frozen=True)
class ReplayScreen:
    """The picture of a player, for a terminal of any size."""

    title: str
    frame: Frame
    player: Player

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        from rich.text import Text

        width, height = options.max_width, options.height or console.height
        room = max(height - _FIXED_LINES, 1)
        body = ((line, "") for line in HELP) if self.player.shows_help else self._body(width, height)
        lines = list(islice(body, self.player.scrolled + room + 1))
        start = self.player.scrolled = min(self.player.scrolled, max(len(lines) - room, 0))  # not beyond the end
        shown = lines[start : start + room]
        for text, style in [
            (self.title, "bold"),
            (self._status(), "reverse"),
            (self._headline(), "bold red" if outcome(self.frame) == "FAILED" else "bold"),
            *shown,
            *[("", "")] * (room - len(shown)),
            (self._footer(more=len(lines) > start + room), "dim"),
        ]:
            yield Text(cut(printable(text), width), style=style, no_wrap=True, overflow="ignore")

    def _status(self) -> str:
        player = self.player
        state = "playing" if player.playing else "at the end" if player.index == player.last else "paused"
        return f"{state} {player.speed:g}x  {player.index + 1}/{player.last + 1}  t {number(self.frame)}"

    def _headline(self) -> str:
        action = _action(self.frame)
        name = shortened(known(action.get("action")), SHOWN_CHARACTERS)
        return f"{name}  {outcome(self.frame)}  {moment(action.get('timestamp'))}"

    def _footer(self, *, more: bool) -> str:
        player = self.player
        if player.typed is not None:
            return f"go to (17, 12:05:30, -5m): {player.typed}_"
        return player.message or ("more below  " if more else "") + KEYS

    def _body(self, width: int, height: int) -> Iterator[tuple[str, str]]:
        """The lines below the headline, each with its style."""
        action = _action(self.frame)
        few = height < 16
        length = width if few else 3 * width
        pause = self.player.pause
        for note in notes(self.frame):
            yield from _hanging("!", note, width, "bold magenta")
        if pause.is_shortened and self.player.playing:
            yield from _hanging("!", shortened_pause(pause), width, "magenta")
        for name in ("input", "observation"):
            yield from _hanging(" ", f"{name}: {shortened(known(action.get(name)), length)}", width, "")
        changes = self.frame.changes()
        if not few:
            yield "", ""
        for change in changes:
            mark, text = marked_change(change, length)
            yield from _hanging(mark, text, width, MARKS[change.kind][1])
        if not changes and not self.frame.step.overwritten and self.frame.before is not None:
            yield "  no field changed", "dim"
        yield "", ""
        yield "  state", "bold"
        marks = {change.field: MARKS[change.kind] for change in changes}
        for place, value in leaves(self.frame.state):
            mark, style = next((marks[one] for one in _with_parents(place) if one in marks), (" ", ""))
            yield from _hanging(mark, f"{shortened(place, length)}: {_value(value, length)}", width, style)
        for place in self.frame.unknown:
            what = "other fields unknown" if value_at(self.frame.state, place, ABSENT) is not ABSENT else "unknown"
            yield from _hanging("?", f"{shortened(place, length) or '/'}: {what}", width, "cyan")


def title_of(session_id: str, head: Mapping[str, Any]) -> str:
    """The first line of the screen."""
    agent = known(head.get("agent_name") or head.get("agent_id"))
    return f"{session_id}  {shortened(agent, SHOWN_CHARACTERS)}"


def _with_parents(place: str) -> Iterator[str]:
    while place:
        yield place
        place = place.rpartition("/")[0]


def _hanging(mark: str, text: str, width: int, style: str) -> Iterator[tuple[str, str]]:
    """A text in lines: a mark in front of the first, the others indented."""
    for at, line in enumerate(folded(printable(text), max(width - 2, 2))):
        yield f"{' ' if at else mark} {line}", style
