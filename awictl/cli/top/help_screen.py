"""The help of `awictl top`: its keys and its columns."""

from __future__ import annotations

from typing import ClassVar

from rich.console import Group
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from ..framework.tables import fields_of

#: The keys of the list, those of an opened session, and what the columns mean.
LIST_KEYS = [
    ("s, S", "sort by the next or the previous key"),
    ("/", "filter by session id, agent id, agent name or route; an empty filter shows all"),
    ("Enter", "open the session at the cursor"),
    ("arrows, Page Up, Page Down", "move the cursor"),
    ("?", "show this help"),
    ("Ctrl-Z", "suspend; `fg` continues"),
    ("q, Ctrl-C", "quit"),
]
SESSION_KEYS = [("r", "read the session again"), ("q, Esc", "go back to the list")]
COLUMNS = [
    ("IDLE", "time since the last action"),
    ("TTL", "time until the session expires"),
    ("ACT/S", "actions per second since the previous sample"),
    ("ACTIONS, FAILED", "all actions ever, and those that failed"),
    ("BYTES", "size of the stored document"),
    ("TOK/STEP", "estimated tokens that an agent reads per step if it reads diffs: the mean size of an action"),
]


class HelpScreen(Screen[None]):
    """The keys and the columns; closed by the keys that go back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "app.pop_screen", "back"),
        Binding("escape,question_mark", "app.pop_screen", "back", show=False),
    ]

    def compose(self) -> ComposeResult:
        """The widgets: the text, and the keys."""
        parts = [("Keys in the list", LIST_KEYS), ("Keys in a session", SESSION_KEYS), ("Columns", COLUMNS)]
        with VerticalScroll():
            for title, rows in parts:
                yield Static(Group(Text(title, style="bold"), fields_of(rows)), markup=False)
        yield Footer(compact=True)
