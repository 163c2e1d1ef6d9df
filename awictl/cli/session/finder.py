"""Find the sessions of a list: those that match its filters, live ones and with --all archived ones."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ...sessions.list_filter import SessionQuery
from ...util.humanize import plural
from ..framework.agent_names import registered_id
from ..framework.command import CommandContext
from ..framework.selection import degraded_notice, has_archive

if TYPE_CHECKING:
    from ...sessions.manager import StateManager
    from ...sessions.summaries import Summary
    from ...sessions.where.grammar import WhereExpression
    from ...sessions.where.operands import Operand

#: Maximum number of unreadable sessions that are named.
MOST_NAMED = 10


@dataclass
class SessionFinder:
    """Finds the sessions that match, once, and counts what it came across."""

    query: SessionQuery
    where: WhereExpression | None
    #: Whether to find archived sessions as well.
    archived: bool
    #: Maximum number of keys to scan per second.
    rate: float | None
    #: How many sessions were read, how many of them match, and how many were unreadable.
    read: int = 0
    matching: int = 0
    unreadable: int = 0
    #: The ids of the first unreadable sessions.
    named: list[str] = field(default_factory=list)

    @property
    def matches_all(self) -> bool:
        """Whether every live session matches, and no archived one."""
        return self.where is None and not self.archived and self.query.matches_all

    async def summaries(
        self, ctx: CommandContext, manager: StateManager, *, until_first: bool = False
    ) -> AsyncGenerator[Sequence[Summary], None]:
        """The sessions that match, in batches as they are found.

        There is a progress bar; with `until_first` until the first of them, which the caller prints at once.
        """
        query = await self._with_registered_id(ctx, manager)
        if self.where is not None or self.archived:
            async with aclosing(self._selected(ctx, manager, query, None, until_first)) as found:
                async for batch in found:
                    yield [summary for summary, _ in batch]
            return
        from ...sessions.summaries import summaries

        with ExitStack() as waiting:
            on_step = waiting.enter_context(ctx.out.progress(None, "reading sessions"))
            async with aclosing(manager.list_session_fields(rate=self.rate)) as listed:
                async for fields in listed:
                    read = summaries(fields)
                    wanted = read if query.matches_all else [one for one in read if query.matches(one)]
                    self._count(len(read), len(wanted), [one.session_id for one in read if one.error is not None])
                    on_step(len(read))
                    if wanted:
                        if until_first:
                            waiting.close()
                        yield wanted

    async def values(
        self, ctx: CommandContext, manager: StateManager, value: Operand
    ) -> AsyncGenerator[Sequence[Any], None]:
        """The value of a field in each session that matches; None if it has none."""
        query = await self._with_registered_id(ctx, manager)
        async with aclosing(self._selected(ctx, manager, query, value, False)) as found:
            async for batch in found:
                yield [one for _, one in batch]

    async def _selected(
        self,
        ctx: CommandContext,
        manager: StateManager,
        query: SessionQuery,
        value: Operand | None,
        until_first: bool,
    ) -> AsyncGenerator[Sequence[tuple[Summary, Any]], None]:
        degraded = False
        archived = self.archived and has_archive(ctx, manager)
        options: dict[str, Any] = {"archived": archived, "value": value, "rate": self.rate}
        with ExitStack() as waiting:
            on_step = waiting.enter_context(ctx.out.progress(None, "reading sessions"))
            async with aclosing(manager.selection.find(self.where, **options)) as found:
                async for batch in found:
                    if batch.degraded is not None and not degraded:
                        ctx.out.notice(degraded_notice(str(batch.degraded)))
                    degraded = batch.degraded is not None
                    wanted = [one for one in batch.sessions if query.matches(one.summary)]
                    self._count(batch.read, len(wanted), batch.unreadable)
                    on_step(batch.read)
                    if self.archived:
                        for summary, _ in wanted:
                            summary.where, summary.degraded = batch.place.value, degraded
                    if wanted:
                        if until_first:
                            waiting.close()
                        yield wanted

    async def _with_registered_id(self, ctx: CommandContext, manager: StateManager) -> SessionQuery:
        if self.query.agent is None:
            return self.query
        return replace(self.query, registered_id=await registered_id(ctx, manager, self.query.agent))

    def _count(self, read: int, matching: int, unreadable: Sequence[str]) -> None:
        self.read += read
        self.matching += matching
        self.unreadable += len(unreadable)
        self.named += unreadable[: MOST_NAMED - len(self.named)]

    def empty(self) -> str:
        """The notice in place of an empty table."""
        kind = "sessions" if self.archived else "live sessions"
        place = "" if self.archived else " live"
        return f"no session matches ({self.read:,}{place})" if self.read else f"no {kind}"

    def report_unreadable(self, ctx: CommandContext) -> None:
        """Print a notice that names the unreadable sessions, if there are any."""
        if self.unreadable:
            more = self.unreadable - len(self.named)
            names = ", ".join(self.named) + (f" and {more:,} more" if more else "")
            ctx.out.notice(
                f"{plural(self.unreadable, 'session')} could not be read: {names}; "
                "`awictl session show ID` reports the reason"
            )
