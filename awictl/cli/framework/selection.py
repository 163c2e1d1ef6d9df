"""Commands on selected sessions: the ids that were given, or all sessions that match an expression."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

from ...errors import InvalidInput
from .confirm import confirm
from .context import CommandContext
from .input import BATCH_IDS, stream_ids
from .params import argument, option
from .parsers import plain_ids

if TYPE_CHECKING:
    from ...sessions.manager import StateManager
    from ...sessions.where.grammar import WhereExpression

#: Session ids of a command that also takes --where.
SomeIds = Annotated[
    list[str] | None,
    argument(
        metavar="[ID...]", help="Session ids, or - to read them from stdin.", show_default=False, callback=plain_ids
    ),
]
Where = Annotated[
    str | None,
    option(
        "--where",
        metavar="EXPR",
        help="All sessions that match, such as 'idle > 20m and agent == \"browser-1\"'; see docs/select.md.",
    ),
]
AllSessions = Annotated[bool, option("--all", help="Archived sessions as well as live ones.")]


def parsed_where(where: str | None) -> WhereExpression | None:
    """The parsed expression; None without one. Raises InvalidInput, which names the column."""
    if where is None:
        return None
    from ...sessions.where.grammar import parse  # a parser generator, which few commands need

    return parse(where)


def check_selection(
    ids: Sequence[str] | None, where: str | None, all_sessions: bool = False, *, all_option: bool = True
) -> WhereExpression | None:
    """The parsed expression. Raises InvalidInput unless sessions are selected in one way: ids, or --where and --all.

    `all_option`: whether the command has --all.
    """
    others = "--where and --all" if all_option else "--where"
    if ids and (where is not None or all_sessions):
        raise InvalidInput(f"session ids cannot be combined with {others}")
    if not ids and where is None and not all_sessions:
        raise InvalidInput(f"no sessions were selected; pass session ids, or {others.replace('and', 'or')}")
    return parsed_where(where)


class Selection:
    """The sessions that a command is for.

    `ids`: as in arguments; - reads them from stdin. `where`: an expression. `all_sessions`: archived sessions as well;
    without a `where` all of them. What the user gave was checked: see `check_selection`.

    A command that is stopped is resumed by running it again: sessions that were ended do not match any more.
    """

    def __init__(
        self,
        ctx: CommandContext,
        manager: StateManager,
        ids: Sequence[str] | None,
        where: WhereExpression | None = None,
        all_sessions: bool = False,
    ) -> None:
        self._ctx = ctx
        self._manager = manager
        self._where = where
        self._all = all_sessions and has_archive(ctx, manager)
        #: The ids that were given; None if sessions are selected by --where or --all.
        self.ids = ids or None

    async def count(self) -> int:
        """How many sessions match. Those on stdin are not counted: they can be read only once."""
        if self.ids is not None:
            return len(set(self.ids) - {"-"})
        count = 0
        with self._ctx.out.progress(None, "counting sessions") as on_step:
            async with aclosing(self._manager.selection.find(self._where, archived=self._all)) as batches:
                async for batch in batches:
                    count += len(batch.sessions)
                    on_step(batch.read)
        return count

    async def confirmed(self, question: Callable[[int], str], yes: bool) -> bool:
        """Ask the question about the number of sessions, unless `yes`. False if there is none, and nothing to ask.

        Raises Refused without a terminal, and CommandExit if the answer is no. Ids that were given are not asked about.
        """
        if yes or self.ids is not None:
            return True
        count = await self.count()
        if count:
            confirm(question(count), yes)
        return count > 0

    async def batches(self, most: int = BATCH_IDS) -> AsyncGenerator[list[str], None]:
        """The ids, each once, in batches of at most `most`, as they are found."""
        if self.ids is not None:
            async with aclosing(stream_ids(self.ids, most=most)) as given:
                async for ids in given:
                    yield ids
            return
        from ...util.batched import batched

        reported = False
        async with aclosing(self._manager.selection.find(self._where, archived=self._all)) as found:
            async for batch in found:
                if batch.degraded is not None and not reported:
                    reported = True
                    self._ctx.out.notice(degraded_notice(str(batch.degraded)))
                for sessions in batched(batch.sessions, most):
                    yield [one.summary.session_id for one in sessions]


def has_archive(ctx: CommandContext, manager: StateManager) -> bool:
    """Whether there are archived sessions to select; a notice says if no archive is configured."""
    if manager.archive is None:
        ctx.out.notice("no archive is configured: only live sessions are selected")
    return manager.archive is not None


def degraded_notice(error: str) -> str:
    """What is said if the live sessions cannot be asked for."""
    return f"only what the archive has is selected, in which live sessions may be older or missing: {error}"
