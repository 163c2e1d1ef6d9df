"""Commands on several ids, from arguments and stdin: an error with one id does not stop the others."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, nullcontext
from typing import TypeVar

from ...errors import Unreachable
from .context import CommandContext
from .error_report import report
from .input import BATCH_IDS, stream_ids
from .params import CommandExit

T = TypeVar("T")
#: Maximum seconds to count the ids on stdin that were not tried.
COUNT_SECONDS = 1.0


def are_several(ids: Sequence[str]) -> bool:
    """Whether a command is for more than one id, as far as that is known: `-` stands for any number."""
    return len(ids) != 1 or "-" in ids


class EachId:
    """Calls a function for each id, and remembers the exit code of the first error.

    After Ctrl-C, the message says how many ids were done and, if the command `writes`, for which the outcome is
    unknown: their request was sent, and its reply did not arrive. `lines`: see `stream_ids`. `most_errors`: maximum
    number of errors to report; None: all. `ids`: as in arguments, or batches of them. `prints_rows`: whether what is
    found for each is printed, and not only written to a file.
    """

    def __init__(
        self,
        ctx: CommandContext,
        ids: Sequence[str] | AsyncGenerator[list[str], None],
        *,
        writes: bool = False,
        lines: bool = False,
        most_errors: int | None = None,
        prints_rows: bool = True,
    ) -> None:
        self._ctx = ctx
        self._ids = ids
        self._writes = writes
        self._lines = lines
        self._prints_rows = prints_rows
        #: Whether there is only one id: its error is raised, not reported.
        self._alone = isinstance(ids, Sequence) and not are_several(ids)
        self._code = 0
        self._done = 0
        #: Whether writes for the current batch may have been sent; false while its ids are only looked up.
        self.sending = True
        self._failed = 0
        self._most_errors = most_errors
        #: Number of errors that were counted, but not reported.
        self.unreported = 0

    async def rows(
        self, one: Callable[[str], Awaitable[T | None]], *, at_once: int = 1, stop: bool = False
    ) -> AsyncGenerator[T, None]:
        """Yield what `one` returns for each id, unless it is None. `at_once`: number of ids that are handled together.

        An error is reported on stderr. If there is only one id, its error is raised instead. `stop`: try no further
        ids after one of them failed because a server cannot be reached, since the others would fail in the same way.
        """
        import asyncio  # not needed for a page of help

        unreachable: Exception | None = None

        async def some(batch: list[str]) -> list[T | Exception | None]:
            nonlocal unreachable
            outcomes = await asyncio.gather(*(outcome_of(one, each) for each in batch))
            unreachable = next((each for each in outcomes if isinstance(each, Unreachable)), None)
            return list(outcomes)

        async with aclosing(self._batches(at_once)) as ids:
            async with aclosing(self.batches(some, at_once, ids)) as batches:
                async for rows in batches:
                    for row in rows:
                        yield row
                    if stop and unreachable is not None:
                        break
            if stop and unreachable is not None and (left := await _count(ids)):
                reason = "because a server cannot be reached; run the command again later"
                self._ctx.out.notice(f"{self._summary([])[0]}; {left} not tried, {reason}")

    async def batches(
        self,
        many: Callable[[list[str]], Awaitable[Sequence[T | Exception | None]]],
        most: int = BATCH_IDS,
        ids: AsyncGenerator[list[str], None] | None = None,
    ) -> AsyncGenerator[list[T], None]:
        """Yield what `many` returns for each batch of at most `most` ids, without the errors and Nones in it.

        `ids`: batches to use, which stay open; by default, those of all ids.
        The errors are reported on stderr; one that `many` raises ends the command.
        """
        import asyncio  # not needed for a page of help

        sent: list[str] = []
        try:
            with self._ctx.out.progress(None, "done", visible=self._shows_progress) as on_step:
                async with nullcontext(ids) if ids is not None else aclosing(self._batches(most)) as batches:
                    async for batch in batches:
                        sent = batch
                        results = await many(batch)
                        sent = []
                        rows: list[T] = []
                        for result in results:
                            if isinstance(result, Exception):
                                self._fail(result)
                                continue
                            self._done += 1
                            if result is not None:
                                rows.append(result)
                        yield rows
                        on_step(len(batch))
        except asyncio.CancelledError:
            raise asyncio.CancelledError(*self._summary(sent)) from None
        except Unreachable:
            if not self._alone:
                self._ctx.out.notice(" ".join(self._summary(sent)))
            raise

    def _batches(self, most: int) -> AsyncGenerator[list[str], None]:
        if isinstance(self._ids, Sequence):
            return stream_ids(self._ids, lines=self._lines, most=most)
        return self._ids

    def _fail(self, error: Exception) -> None:
        """Count an error, and report it; raise it if there is only one id."""
        if self._alone:
            raise error
        self._failed += 1
        if self._most_errors is not None and self._failed > self._most_errors:
            self.unreported += 1
        else:
            code = report(error, verbose=self._ctx.options.verbose)
            self._code = self._code or code

    @property
    def _shows_progress(self) -> bool:
        """Whether a progress bar would not get mixed up with rows on the terminal."""
        return not (self._prints_rows and self._ctx.out.prints_rows_to_terminal(collected=self._writes))

    def _summary(self, sent: list[str]) -> list[str]:
        """How many ids were done, and those whose outcome is unknown; empty for a command that only reads one."""
        if self._alone and not self._writes:
            return []
        text = f"{self._done:,} done" + (f", {self._failed:,} failed" if self._failed else "")
        if self._writes and sent and self.sending:
            text += f"; outcome unknown (sent, no reply): {' '.join(sent)}"
        return [text]

    def exit(self) -> None:
        """Raise CommandExit with the exit code of the first error, if there was one."""
        if self._code:
            raise CommandExit(self._code)


async def _count(ids: AsyncGenerator[list[str], None]) -> str:
    """The number of ids that are left, empty for none; what does not arrive on stdin at once is not waited for."""
    import asyncio

    left = 0
    try:
        async with asyncio.timeout(COUNT_SECONDS):
            async for batch in ids:
                left += len(batch)
    except TimeoutError:
        return f"at least {left:,}"
    return f"{left:,}" if left else ""


async def outcome_of(one: Callable[[str], Awaitable[T | None]], session_id: str) -> T | Exception | None:
    """What `one` returns for an id, or the error that concerns only this id."""
    try:
        return await one(session_id)
    except (OSError, CommandExit):  # stdout is closed
        raise
    except Exception as error:
        return error


async def each(
    ctx: CommandContext, ids: Sequence[str], one: Callable[[str], Awaitable[None]], *, lines: bool = False
) -> None:
    """Await `one` for each id. After an error, continue with the others; the exit code is that of the first error."""
    all_of_them = EachId(ctx, ids, lines=lines)
    async for _ in all_of_them.rows(one):
        pass
    all_of_them.exit()
