"""The full screen of `awictl top`. Stored text is escaped, and never read as markup."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from rich.console import Group, RenderableType
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Input, Static

from ...diagnostics.activity import Activity, Order, Sample, Sampler
from ...errors import AwiError
from ...util.humanize import duration, lifetime, plural
from ..framework.cells import number
from ..framework.error_report import INTERRUPTED
from ..framework.session_view import ACTIONS, facts, last_delta
from ..framework.tables import Rows, fields_of, printable
from .view import totals

if TYPE_CHECKING:
    from ...sessions.manager import StateManager

#: Newest actions of a session that is opened.
OPENED_ACTIONS = 100
ORDERS = list(Order)


class Field(NamedTuple):
    """A column: its title, the text of its cell, and how wide it is."""

    title: str
    text: Callable[[Activity], str]
    width: int
    #: Those with the least come first where there is no room for all; wide ones get what is left over.
    rank: int
    right: bool = True
    wide: bool = False


FIELDS = [
    Field("SESSION", lambda one: one.session_id, 37, 0, right=False),
    Field("AGENT", lambda one: f"unreadable: {one.error}" if one.error else one.agent, 10, 3, right=False, wide=True),
    Field("ROUTE", lambda one: one.route, 12, 6, right=False, wide=True),
    Field("IDLE", lambda one: duration(one.idle_ms), 7, 1),
    Field("TTL", lambda one: lifetime(one.ttl_ms), 7, 1),
    Field("ACT/S", lambda one: f"{one.rate:,.1f}" if one.rate else "-", 5, 2),
    Field("ACTIONS", lambda one: number(one.total), 7, 5),
    Field("FAILED", lambda one: number(one.failed), 6, 4),
    Field("BYTES", lambda one: f"{one.bytes:,}", 9, 7),
]
#: Characters between two columns, and of a wide cell at the most.
GAP = 1
WIDEST_CELL = 40


def fields_for(width: int) -> list[tuple[Field, int]]:
    """The columns for which there is room, each with its width."""
    left = width - 2  # the scroll bar
    shown: list[Field] = []
    for field in sorted(FIELDS, key=lambda one: one.rank):
        if field.width + GAP <= left:
            shown.append(field)
            left -= field.width + GAP
        else:
            break
    if not shown:
        return [(FIELDS[0], max(left - GAP, 1))]
    wide = [field for field in shown if field.wide]
    more = {field.title: left // len(wide) for field in wide}
    return [
        (field, min(field.width + more.get(field.title, 0), WIDEST_CELL) if field.wide else field.width)
        for field in FIELDS
        if field in shown
    ]


def _cell(text: str, width: int, right: bool) -> Text:
    cell = Text(printable(text), no_wrap=True, justify="right" if right else "left")
    cell.truncate(width, overflow="ellipsis")
    return cell


class TopScreen(App[int]):
    """All sessions, refreshed again and again. Its result is an exit code."""

    CSS = """
    #totals { height: auto; max-height: 2; text-style: bold; }
    #state { height: 1; }
    Input { height: 1; border: none; }
    DataTable { height: 1fr; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "order(1)", "order"),
        Binding("S", "order(-1)", "order back", show=False),
        # with priority, so that the keys which arrive together with it go to the input already
        Binding("slash", "filter", "filter", priority=True),
        Binding("enter", "open", "open", show=True),
        Binding("q", "leave(0)", "quit"),
        Binding("ctrl+c", f"leave({INTERRUPTED})", "quit", show=False, priority=True),
        Binding("ctrl+q", "leave(0)", "quit", show=False, priority=True),
    ]

    def __init__(self, manager: StateManager, sampler: Sampler, interval: float, *, colors: bool) -> None:
        if not colors:
            os.environ["NO_COLOR"] = "1"  # which is what Textual looks at
        super().__init__()
        self._state_manager = manager
        self._sampler = sampler
        self._every = interval
        self._sorted_by = Order.ACTIVITY
        self._filter = Input(placeholder="id, agent or route", compact=True)
        self._filter.display = False
        self._wanted = ""
        self._latest: Sample | None = None
        self._row_ids: list[str] = []
        self._at_once = asyncio.Event()

    async def run_for(self, seconds: float | None) -> int:
        """Take over the terminal until the user leaves, or the time is over. Returns the exit code."""
        loop = asyncio.get_running_loop()
        if seconds is not None:
            loop.call_later(seconds, self.exit, 0)
        # Textual would leave the screen as it is at SIGTERM, and tell nothing of SIGINT
        codes = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: 128 + signal.SIGTERM}
        for signum, code in codes.items():
            loop.add_signal_handler(signum, self.exit, code)
        try:
            result = await self.run_async()
        finally:
            for signum in codes:
                loop.remove_signal_handler(signum)
        return result if result is not None else self.return_code or 0

    def compose(self) -> ComposeResult:
        yield Static("", id="totals", markup=False)
        yield Static("", id="state", markup=False)
        yield self._filter
        yield DataTable(cursor_type="row", zebra_stripes=False, cell_padding=0)
        yield Footer(compact=True)

    def on_mount(self) -> None:
        self.query_one(DataTable).focus()
        self._tell_state("looking at all sessions…")
        self.run_worker(self._keep_sampling(), exclusive=True)

    async def _keep_sampling(self) -> None:
        """Take samples for as long as this is shown."""
        while True:
            self._at_once.clear()
            try:
                sample = await self._sampler.sample(self._sorted_by, self._wanted)
            except AwiError as error:
                self._tell_state(f"{error} (trying again)")
                waiting = asyncio.sleep(self._every)
            else:
                self._fill(sample)
                waiting = self._sampler.wait(sample, self._every)
            tasks = [asyncio.ensure_future(waiting), asyncio.ensure_future(self._at_once.wait())]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()

    def _fill(self, sample: Sample) -> None:
        self._latest = sample
        self.query_one("#totals", Static).update(
            Text("  ".join(one.replace(" ", "\u00a0") for one in [plural(sample.sessions, "session"), *totals(sample)]))
        )
        self._tell_state("")
        self._draw_rows()

    def on_resize(self) -> None:
        self._draw_rows()

    def _draw_rows(self) -> None:
        """Fill the table for the width that there is; the cursor stays on its session, wherever that is now."""
        if self._latest is None:
            return
        table = self.query_one(DataTable)
        at = self._row_ids[table.cursor_row] if table.cursor_row < len(self._row_ids) else None
        scroll = table.scroll_y
        self._row_ids = [one.session_id for one in self._latest.shown]
        table.clear(columns=True)
        fields = fields_for(self.size.width)
        for field, width in fields:
            table.add_column(_cell(field.title, width, field.right), width=width + GAP)
        for one in self._latest.shown:
            table.add_row(*(_cell(field.text(one), width, field.right) + Text(" " * GAP) for field, width in fields))
        if at in self._row_ids:
            table.move_cursor(row=self._row_ids.index(at), scroll=False)
        table.scroll_to(y=scroll, animate=False)

    def _tell_state(self, text: str) -> None:
        """What is shown of the state of the view itself, unless there is something else to `text`."""
        sample = self._latest
        parts = [f"by {self._sorted_by}"]
        if self._wanted:
            parts.append(f"with {self._wanted!r}" + (f": {sample.matching:,}" if sample is not None else ""))
        if sample is not None and sample.matching > len(sample.shown):
            parts.append(f"the first {len(sample.shown):,}")
        if sample is not None:
            parts.append(f"at {sample.at[11:19]} UTC")
        self.query_one("#state", Static).update(Text(printable(text or ", ".join(parts)), no_wrap=True))

    # -- what keys do

    def action_order(self, step: int) -> None:
        self._sorted_by = ORDERS[(ORDERS.index(self._sorted_by) + step) % len(ORDERS)]
        self._tell_state("")
        self._at_once.set()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Textual's hook: whether a key runs this action. In the input, and in an opened session, / is a character."""
        if action != "filter":
            return True
        return self.screen is self.screen_stack[0] and self.focused is not self._filter

    def action_filter(self) -> None:
        self._filter.display = True
        self.screen.set_focus(self._filter)  # at once: Widget.focus() defers it

    def action_leave(self, code: int) -> None:
        self.exit(code)

    def action_open(self) -> None:
        table = self.query_one(DataTable)
        if self.screen is self.screen_stack[0] and table.cursor_row < len(self._row_ids):
            self.push_screen(SessionScreen(self._state_manager, self._row_ids[table.cursor_row]))

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        self.action_open()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._wanted = event.value.strip()
        self._hide_filter()
        self._at_once.set()

    def key_escape(self) -> None:
        if self.focused is self._filter:
            self._hide_filter()

    def _hide_filter(self) -> None:
        self._filter.display = False
        self.screen.set_focus(self.query_one(DataTable))


class SessionScreen(Screen[None]):
    """One session: its state, its last diff, and its newest actions."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.pop_screen", "back"),
        Binding("r", "read", "read again"),
    ]

    def __init__(self, manager: StateManager, session_id: str) -> None:
        super().__init__()
        self._state_manager = manager
        self._session_id = session_id

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static("", id="session", markup=False)
        yield Footer(compact=True)

    def on_mount(self) -> None:
        self.action_read()

    def action_read(self) -> None:
        self.run_worker(self._read_session(), exclusive=True)

    async def _read_session(self) -> None:
        try:
            shown = await self._picture()
        except AwiError as error:
            shown = Text(printable(str(error)))
        self.query_one("#session", Static).update(shown)

    async def _picture(self) -> RenderableType:
        listed = await self._state_manager.store.list([self._session_id])
        page = await self._state_manager.get_action_history(self._session_id, OPENED_ACTIONS)
        diff = await self._state_manager.get_state_diff(self._session_id)
        head, ttl_ms = (listed[0].head, listed[0].ttl_ms) if listed else ({}, None)
        actions = [one if isinstance(one, dict) else {"action": one} for one in page.trajectory]
        return Group(
            fields_of(facts(head, page.total, lifetime(ttl_ms))),
            Text("\nlast diff", style="bold"),
            last_delta(diff) if diff is not None else Text("none in the last five minutes"),
            Text(f"\nnewest actions ({len(actions):,} of {page.total:,})", style="bold"),
            Rows(actions, ACTIONS),
        )
