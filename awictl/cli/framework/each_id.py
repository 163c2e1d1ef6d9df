"""Commands on several ids: an error with one id does not stop the others."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import typer

from ...errors import AwiError
from .context import CommandContext
from .error_report import report


class EachId:
    """Calls a function for each of several ids, and remembers the exit code of the first error."""

    def __init__(self, ctx: CommandContext, ids: list[str]) -> None:
        self._ctx = ctx
        self._ids = ids
        self._code = 0

    async def rows(self, one: Callable[[str], Awaitable[dict[str, Any] | None]]) -> AsyncIterator[dict[str, Any]]:
        """Yield what `one` returns for each id, unless it is None.

        An error is reported on stderr. If there is only one id, its error is raised instead.
        """
        for session_id in self._ids:
            try:
                row = await one(session_id)
            except AwiError as error:
                if len(self._ids) == 1:
                    raise
                reported = report(error, verbose=self._ctx.options.verbose)
                self._code = self._code or reported
            else:
                if row is not None:
                    yield row

    def exit(self) -> None:
        """Raise typer.Exit with the exit code of the first error, if there was one."""
        if self._code:
            raise typer.Exit(self._code)


async def each(ctx: CommandContext, ids: list[str], one: Callable[[str], Awaitable[None]]) -> None:
    """Await `one` for each id. After an error, continue with the others; the exit code is that of the first error."""
    all_of_them = EachId(ctx, ids)
    async for _ in all_of_them.rows(one):
        pass
    all_of_them.exit()
