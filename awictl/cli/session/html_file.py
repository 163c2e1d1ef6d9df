"""What `session export --html` does: write one session as a page in one file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InvalidInput
from ...util.humanize import plural
from ..framework import whole_view
from ..framework.command import CommandContext
from ..framework.stdout import flush, is_terminal, write

if TYPE_CHECKING:
    from ...document.redaction.rules import Redaction
    from ...sessions.whole_session import WholeSession
    from ...ui.offline.page import CopyFacts

#: Writes to stdout.
STDOUT = Path("-")


def redaction_of(redact: Sequence[str] | None, *, no_redact: bool) -> Redaction | None:
    """What is redacted in a page: all known kinds, and what --redact adds. Raises InvalidInput."""
    if no_redact:
        if redact:
            raise InvalidInput("--redact and --no-redact cannot be combined")
        return None
    from ...document.redaction.rules import DEFAULT, parse_redaction

    return parse_redaction([DEFAULT, *(redact or ())])


def check_alone(ctx: CommandContext, ids: Sequence[str] | None, others: Iterable[tuple[str, object]]) -> str:
    """The id of the only session. `others`: options that --html excludes, with their values. Raises InvalidInput."""
    given = [name for name, value in others if value]
    if ctx.options.jq is not None:
        given.append("--jq")
    if given:
        raise InvalidInput(f"--html cannot be combined with {', '.join(given)}")
    if ids is None or len(ids) != 1 or ids[0] == "-":
        raise InvalidInput("--html writes a page of one session: pass one id")
    return ids[0]


async def write_page(
    ctx: CommandContext, session_id: str, file: Path, redaction: Redaction | None, *, force: bool
) -> None:
    """Find the session, and write its page to a file, which appears when it is complete, or to stdout."""
    from ...sessions.export.target import ExportTarget
    from ...util.daemon_thread import in_daemon_thread

    if file == STDOUT and is_terminal(sys.stdout):
        raise InvalidInput("stdout is a terminal: pipe the page into a file, or pass --html FILE")
    async with ctx.manager() as manager:
        limit = manager.settings.max_document_bytes
        target: ExportTarget | None = None
        if file != STDOUT:
            target = await in_daemon_thread(lambda: ExportTarget(file, force=force, resume=False, max_bytes=limit))
        try:
            whole = await manager.time_travel.whole(session_id)
            for notice in whole_view.notices(whole):
                ctx.out.notice(notice)
            put = target.append if target is not None else write
            facts = await in_daemon_thread(lambda: _write(whole, redaction, put))
            if target is not None:
                await in_daemon_thread(target.finish)
            else:
                flush()
        finally:
            if target is not None:
                target.close(discard=True)
    _report(ctx, facts, file, len(whole.steps))


def _write(whole: WholeSession, redaction: Redaction | None, put: Callable[[bytes], None]) -> CopyFacts:
    """Write the parts of the page; return what its banner says. Blocks."""
    from ...document.timestamps import timestamp
    from ...ui.offline.page import page, session_copy

    copy = session_copy(whole, redaction, timestamp())
    for part in page(copy):
        put(part)
    return copy.facts


def _report(ctx: CommandContext, facts: CopyFacts, file: Path, actions: int) -> None:
    """Say on stderr what was written and what was redacted."""
    if facts.redacted is None:
        ctx.out.notice(f"NOTHING IS REDACTED in the page of {facts.session_id}: look through it before you share it")
        redacted = ""
    elif facts.redacted:
        redacted = "; redacted values: " + ", ".join(
            f"{kind} {one['values']:,}" for kind, one in facts.redacted.items()
        )
    else:
        redacted = "; nothing was found to redact"
    place = "stdout" if file == STDOUT else file
    ctx.out.notice(f"the page of {facts.session_id} with {plural(actions, 'action')} was written to {place}{redacted}")
