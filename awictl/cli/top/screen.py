"""The full screen of `awictl top`. Stored text is escaped and never parsed as markup."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.drivers.linux_driver import LinuxDriver
from textual.widgets import DataTable, Footer, Input, Static

from ...diagnostics.activity import Order, Sample, Sampler
from ...errors import AwiError
from ...util.humanize import plural
from ..framework.cells import clock, shortened
from ..framework.error_report import INTERRUPTED
from ..framework.escape import printable
from ..framework.live_terminal import can_be_suspended, ended_by, ending_signals
from ..framework.stdout import is_terminal
from .columns import GAP, cell_of, fields_for
from .help_screen import HelpScreen
from .session_screen import SessionScreen
from .view import totals

if TYPE_CHECKING:
    from ...sessions.manager import StateManager

#: The sort keys, in the order in which a key press goes through them.
ORDERS = list(Order)
#: Characters of the filter that are shown in the status line.
SHOWN_FILTER = 16


class _Driver(LinuxDriver):
    """Textual's driver, which by itself starts its threads a second time at SIGCONT after SIGSTOP, and never ends."""

    def _sigcont_application(self, *_: object) -> None:
        if not self._must_signal_resume and self._writer_thread is not None:
            self.suspend_application_mode()  # SIGSTOP, unlike Ctrl-Z, could not do so
        super()._sigcont_application()


class TopScreen(App[int]):
    """All sessions, refreshed at an interval. The result of the app is the exit code."""

    CSS = """
    #totals { height: auto; max-height: 2; text-style: bold; }
    #state { height: auto; max-height: 3; }
    Input { height: 1; border: none; }
    DataTable { height: 1fr; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "order(1)", "sort"),
        Binding("S", "order(-1)", "sort back", show=False),
        # with priority, so that keys which arrive together with it already go to the input
        Binding("slash", "filter", "filter", priority=True),
        Binding("enter", "open", "open", show=True),
        Binding("question_mark", "help", "help"),
        Binding("q", "leave(0)", "quit"),
        Binding("ctrl+z", "suspend_process", "suspend", show=False, priority=True),
        Binding("ctrl+c", f"leave({INTERRUPTED})", "quit", show=False, priority=True),
        Binding("ctrl+q", "leave(0)", "quit", show=False, priority=True),
    ]

    def __init__(self, manager: StateManager, sampler: Sampler, interval: float, *, colors: bool) -> None:
        if not colors:
            os.environ["NO_COLOR"] = "1"  # read by Textual
        super().__init__(driver_class=_Driver)
        self._state_manager = manager
        self._sampler = sampler
        self._sample_interval = interval
        self._sorted_by = Order.ACTIVITY
        self._filter = Input(placeholder="id, agent or route", compact=True)
        self._filter.display = False
        self._filter_text = ""
        self._latest: Sample | None = None
        self._row_ids: list[str] = []
        self._refresh_now = asyncio.Event()

    async def run_for(self, seconds: float | None) -> int:
        """Take over the terminal until the user quits, or `seconds` have passed. Returns the exit code."""
        loop = asyncio.get_running_loop()
        if seconds is not None:
            loop.call_later(seconds, self.exit, 0)
        if not is_terminal(sys.__stderr__):  # on which Textual draws
            sys.__stderr__ = sys.__stdout__  # type: ignore[misc]
        # Textual does not restore the screen at these, and does not report SIGINT
        with ended_by({signal.SIGINT: INTERRUPTED} | ending_signals(), self.exit):
            result = await self.run_async()
        return result if result is not None else self.return_code or 0

    def compose(self) -> ComposeResult:
        """The widgets: totals, status line, filter, table, and the keys."""
        yield Static("", id="totals", markup=False)
        yield Static("", id="state", markup=False)
        yield self._filter
        yield DataTable(cursor_type="row", zebra_stripes=False, cell_padding=0)
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Start sampling."""
        self.query_one(DataTable).focus()
        self._show_status("scanning sessions…")
        self.run_worker(self._keep_sampling(), exclusive=True)

    async def _keep_sampling(self) -> None:
        """Take samples until the app ends."""
        while True:
            if not is_terminal(sys.__stdin__):  # it was lost, without SIGHUP; Textual would read it in a busy loop
                os._exit(128 + signal.SIGHUP)
            self._refresh_now.clear()
            try:
                sample = await self._sampler.sample(self._sorted_by, self._filter_text)
            except AwiError as error:
                self._show_status(f"{error} (retrying)")
                waiting = asyncio.sleep(self._sample_interval)
            else:
                self._fill(sample)
                waiting = self._sampler.wait(sample, self._sample_interval)
            tasks = [asyncio.ensure_future(waiting), asyncio.ensure_future(self._refresh_now.wait())]
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
        self._show_status("")
        self._draw_rows()

    def on_resize(self) -> None:
        """Fit the columns to the new width."""
        self._draw_rows()

    def _draw_rows(self) -> None:
        """Fill the table to the width of the screen. The cursor stays on its session."""
        if self._latest is None:
            return
        table = self.query_one(DataTable)
        at = self._row_ids[table.cursor_row] if table.cursor_row < len(self._row_ids) else None
        scroll = table.scroll_y
        self._row_ids = [one.session_id for one in self._latest.shown]
        table.clear(columns=True)
        fields = fields_for(self.size.width)
        for field, width in fields:
            table.add_column(cell_of(field.title, width, field.right), width=width + GAP)
        for one in self._latest.shown:
            table.add_row(*(cell_of(field.text(one), width, field.right) + Text(" " * GAP) for field, width in fields))
        if at in self._row_ids:
            table.move_cursor(row=self._row_ids.index(at), scroll=False)
        table.scroll_to(y=scroll, animate=False)

    def _show_status(self, text: str) -> None:
        """Show `text` in the status line; if it is empty, the sort key, the filter and the time of the sample."""
        sample = self._latest
        parts = [f"sorted by {self._sorted_by}"]
        if self._filter_text:
            parts.append(
                f"filter {shortened(self._filter_text, SHOWN_FILTER)!r}"
                + (f": {sample.matching:,}" if sample is not None else "")
            )
        if sample is not None and sample.matching > len(sample.shown):
            parts.append(f"first {len(sample.shown):,}")
        if sample is not None:
            parts.append(f"at {clock(sample.at)}")
        shown = Text(printable(text)) if text else Text(printable(", ".join(parts)), no_wrap=True, overflow="ellipsis")
        self.query_one("#state", Static).update(shown)

    # -- actions of keys

    def action_order(self, step: int) -> None:
        """Sort by the next key, or with `step` -1 by the previous one."""
        self._sorted_by = ORDERS[(ORDERS.index(self._sorted_by) + step) % len(ORDERS)]
        self._show_status("")
        self._refresh_now.set()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Textual's hook: whether a key runs this action. Those of the list do nothing in other screens.

        In the input of the filter, / is a character.
        """
        if action not in ("order", "open", "filter"):
            return True
        in_list = len(self.screen_stack) == 1
        return in_list and not (action == "filter" and self.focused is self._filter)

    def action_filter(self) -> None:
        """Show the input of the filter."""
        self._filter.display = True
        self.screen.set_focus(self._filter)  # at once: Widget.focus() defers it

    def action_suspend_process(self) -> None:
        """Suspend as Ctrl-Z does elsewhere, unless nothing could continue this process."""
        if can_be_suspended():
            super().action_suspend_process()

    def action_leave(self, code: int) -> None:
        """Quit with an exit code."""
        self.exit(code)

    def action_open(self) -> None:
        """Open the session at the cursor."""
        table = self.query_one(DataTable)
        if len(self.screen_stack) == 1 and table.cursor_row < len(self._row_ids):
            self.push_screen(SessionScreen(self._state_manager, self._row_ids[table.cursor_row]))

    def action_help(self) -> None:
        """Show the keys and what the columns mean."""
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen())

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open the session that was selected with Enter or the mouse."""
        self.action_open()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Apply the filter."""
        self._filter_text = event.value.strip()
        self._hide_filter()
        self._refresh_now.set()

    def key_escape(self) -> None:
        """Close the filter without applying it."""
        if self.focused is self._filter:
            self._hide_filter()

    def _hide_filter(self) -> None:
        self._filter.display = False
        self.screen.set_focus(self.query_one(DataTable))
