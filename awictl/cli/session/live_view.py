"""How `session watch` draws a session on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...document.schema import as_object
from ...util.humanize import lifetime
from ..framework.cells import shortened
from ..framework.session_view import ACTIONS, LATEST_ACTIONS, facts
from ..framework.tables import Column, Rows, fields_of

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    from ...diagnostics.follow import Event

#: The field of an action that holds the number of the event until which it is marked.
_MARKED_UNTIL = "\0until"
#: Number of events for which a change stays marked.
MARKED_EVENTS = 3
#: Characters of a field, and of a cell of an action, that are shown.
SHOWN_CHARACTERS = 300


class LiveView:
    """The picture of a session; recent changes are marked with a *."""

    def __init__(self) -> None:
        self._facts: dict[str, str] = {}
        self._actions: list[Mapping[str, Any]] = []
        #: Number of the event until which each fact is marked.
        self._marked_until: Counter[str] = Counter()
        self._ttl_ms: int | None = None
        self._events = 0

    def after(self, event: Event) -> RenderableType:
        """The picture after an event."""
        self._events += 1
        self._ttl_ms = event.ttl_ms if event.ttl_ms is not None else self._ttl_ms
        first = event.kind == "session"
        new_facts = {
            name: shortened(value, SHOWN_CHARACTERS) for name, value in facts(event.head, event.total or 0, None)
        }
        for name, value in new_facts.items():
            if not first and self._facts.get(name) != value:
                self._marked_until[name] = self._events + MARKED_EVENTS
        self._facts = new_facts
        new = [as_object(one) for one in reversed(event.actions)]
        until = 0 if first else self._events + MARKED_EVENTS
        self._actions = [*({**one, _MARKED_UNTIL: until} for one in new), *self._actions][:LATEST_ACTIONS]
        not_current = event.message if event.kind in ("away", "nothing") else ""
        shown = [
            *([("! not current", shortened(not_current, SHOWN_CHARACTERS))] if not_current else []),
            ("  expires in", "gone" if event.kind == "gone" else lifetime(self._ttl_ms)),
            *((f"{self._mark(self._marked_until[name])} {name}", value) for name, value in new_facts.items()),
        ]
        columns = [Column("", lambda row: self._mark(row[_MARKED_UNTIL])), *ACTIONS]
        return _Fitted(fields_of(shown), Rows(self._actions, columns) if self._actions else None)

    def _mark(self, until: int) -> str:
        return "*" if until > self._events else " "


@dataclass(frozen=True)
class _Fitted:
    """The fields of a session, and its actions, cut to the height of the terminal: half of it is for actions."""

    fields: RenderableType
    actions: RenderableType | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        from rich.segment import Segment

        lines = console.render_lines(self.fields, options, pad=False)
        actions = console.render_lines(self.actions, options, pad=False) if self.actions is not None else []
        height = max(console.height - 1, 1)
        if actions:
            room = max(height - len(actions) - 1, height // 2)
            lines = [*lines[:room], *([[]] if len(lines) < height else []), *actions]
        for line in lines[:height]:
            yield from line
            yield Segment.line()
