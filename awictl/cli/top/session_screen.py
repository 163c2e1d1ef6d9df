"""The screen of one session, opened from the list of `awictl top`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.console import Group, RenderableType
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from ...errors import AwiError
from ...util.humanize import lifetime
from ..framework.cells import shortened
from ..framework.escape import printable
from ..framework.session_view import ACTIONS, facts, last_delta
from ..framework.tables import Rows, fields_of

if TYPE_CHECKING:
    from ...sessions.manager import StateManager

#: Number of newest actions on the screen.
SHOWN_ACTIONS = 100
#: Characters of each field that are shown.
SHOWN_CHARACTERS = 1000


class SessionScreen(Screen[None]):
    """One session: its state, its last delta and its newest actions."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "app.pop_screen", "back"),
        Binding("escape", "app.pop_screen", "back", show=False),
        Binding("r", "read", "reload"),
    ]

    def __init__(self, manager: StateManager, session_id: str) -> None:
        super().__init__()
        self._state_manager = manager
        self._session_id = session_id

    def compose(self) -> ComposeResult:
        """The widgets: the session, and the keys."""
        with VerticalScroll():
            yield Static("", id="session", markup=False)
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Read the session."""
        self.action_read()

    def action_read(self) -> None:
        """Read the session again."""
        self.run_worker(self._read_session(), exclusive=True)

    async def _read_session(self) -> None:
        try:
            shown = await self._picture()
        except AwiError as error:
            shown = Text(printable(str(error)))
        self.query_one("#session", Static).update(shown)

    async def _picture(self) -> RenderableType:
        listed = await self._state_manager.store.list([self._session_id])
        page = await self._state_manager.get_action_history(self._session_id, SHOWN_ACTIONS)
        diff = await self._state_manager.get_state_diff(self._session_id)
        head, ttl_ms = (listed[0].head, listed[0].ttl_ms) if listed else ({}, None)
        actions = [one if isinstance(one, dict) else {"action": one} for one in page.trajectory]
        described = facts(head, page.total, lifetime(ttl_ms), actions)
        return Group(
            fields_of((name, shortened(value, SHOWN_CHARACTERS)) for name, value in described),
            Text("\nlast delta", style="bold"),
            last_delta(diff) if diff is not None else Text("none in the last five minutes"),
            Text(f"\nnewest actions ({len(actions):,} of {page.total:,})", style="bold"),
            Rows(actions, ACTIONS),
        )
