"""How `session watch` draws a session on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...document.schema import as_object
from ...util.humanize import lifetime
from ..framework.session_view import ACTIONS, LATEST_ACTIONS, facts
from ..framework.tables import Column, Rows, fields_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ...diagnostics.follow import Event

#: The field of an action that holds the number of the event until which it is marked.
_MARKED_UNTIL = "\0until"
#: Number of events for which a change stays marked.
MARKED_EVENTS = 3


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
        from rich.console import Group

        self._events += 1
        self._ttl_ms = event.ttl_ms if event.ttl_ms is not None else self._ttl_ms
        first = event.kind == "session"
        new_facts = dict(facts(event.head, event.total or 0, None))
        for name, value in new_facts.items():
            if not first and self._facts.get(name) != value:
                self._marked_until[name] = self._events + MARKED_EVENTS
        self._facts = new_facts
        new = [as_object(one) for one in reversed(event.actions)]
        until = 0 if first else self._events + MARKED_EVENTS
        self._actions = [*({**one, _MARKED_UNTIL: until} for one in new), *self._actions][:LATEST_ACTIONS]
        shown = [
            ("  expires in", "gone" if event.kind == "gone" else lifetime(self._ttl_ms)),
            *((f"{self._mark(self._marked_until[name])} {name}", value) for name, value in new_facts.items()),
        ]
        columns = [Column("", lambda row: self._mark(row[_MARKED_UNTIL])), *ACTIONS]
        return Group(fields_of(shown), "", Rows(self._actions, columns)) if self._actions else fields_of(shown)

    def _mark(self, until: int) -> str:
        return "*" if until > self._events else " "
