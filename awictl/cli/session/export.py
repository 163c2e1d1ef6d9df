"""`awictl session export`."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ...errors import InvalidInput, Unreachable
from ...util.humanize import plural
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Redact
from ..framework.each_id import EachId
from ..framework.output import Format
from ..framework.params import option
from ..framework.selection import AllSessions, Selection, SomeIds, Where, check_selection
from ..framework.stdout import flush, write

if TYPE_CHECKING:
    from ...document.redaction.rules import Redaction
    from ...sessions.export.export import ExportLines
    from ...sessions.export.file_format import ExportedSession
    from ...sessions.export.target import ExportTarget
    from ...sessions.manager import StateManager
    from ...sessions.where.grammar import WhereExpression

#: Number of sessions that are read at the same time.
AT_ONCE = 4

File = Annotated[
    Path | None, option("--file", "-f", metavar="FILE", help="Write to a file, which appears when it is complete.")
]
Force = Annotated[bool, option("--force", help="Replace FILE if it exists.")]
Resume = Annotated[bool, option("--resume", help="Continue an export to FILE that was interrupted.")]

Html = Annotated[
    Path | None,
    option(
        "--html",
        metavar="FILE",
        help="Write one session as a page in one file, which a browser opens without a server; - is stdout. "
        "Redacts as with `--redact default`.",
    ),
]
NoRedact = Annotated[bool, option("--no-redact", help="With --html: replace no secrets.")]


@cli_command(
    examples=[
        "awictl session export ID > session.jsonl",
        "awictl session export ID --redact default -f bug.jsonl   # to share it",
        "awictl session export ID --html bug.html   # a page to look at, redacted",
        "awictl session export --where 'agent == \"browser-1\"' --all -f browser-1.jsonl",
    ],
    common=[Format.JSONL],
)
def command(
    ctx: CommandContext,
    ids: SomeIds = None,
    where: Where = None,
    all_sessions: AllSessions = False,
    file: File = None,
    redact: Redact = None,
    force: Force = False,
    resume: Resume = False,
    html: Html = None,
    no_redact: NoRedact = False,
) -> Work:
    """Export sessions as a file: their documents, all actions, keys and TTLs. `session import` reads it.

    With --html, export one session as a page to look at: its timeline, its state at each action, and what changed.
    """
    if html is not None:
        from . import html_file

        others = [("--where", where), ("--all", all_sessions), ("--file", file), ("--resume", resume)]
        session_id = html_file.check_alone(ctx, ids, others)
        page_redaction = html_file.redaction_of(redact, no_redact=no_redact)
        return html_file.write_page(ctx, session_id, html, page_redaction, force=force)
    if no_redact:
        raise InvalidInput("--no-redact needs --html: only pages are redacted without --redact")
    expression = check_selection(ids, where, all_sessions)
    redaction = None
    if redact:
        from ...document.redaction.rules import parse_redaction

        redaction = parse_redaction(redact)
    if file is None and (force or resume):
        raise InvalidInput("--force and --resume need --file, or --force needs --html")
    if file is not None and ctx.options.jq is not None:
        raise InvalidInput("--jq filters what is printed, and cannot be combined with --file")
    if resume and redact:
        raise InvalidInput("an export with --redact cannot be resumed: what it has replaced is written nowhere")
    return run(ctx, ids, expression, all_sessions, file, redaction, force, resume)


async def run(
    ctx: CommandContext,
    ids: list[str] | None,
    where: "WhereExpression | None",
    all_sessions: bool,
    file: Path | None,
    redaction: "Redaction | None",
    force: bool,
    resume: bool,
) -> None:
    """Export each session."""
    from ...sessions.export.export import ExportLines
    from ...sessions.export.target import ExportTarget
    from ...util.daemon_thread import in_daemon_thread

    async with ctx.manager() as manager:
        target: ExportTarget | None = None
        if file is not None:
            path, limit = file, manager.settings.max_document_bytes
            target = await in_daemon_thread(lambda: ExportTarget(path, force=force, resume=resume, max_bytes=limit))
        try:
            folder = target.path.absolute().parent if target is not None else None
            with ExportLines(redaction, folder) as lines:
                sessions = _Sessions(ctx, manager, Selection(ctx, manager, ids, where, all_sessions), target)
                put = _writer(ctx, target, lines.header())
                if target is not None:
                    lines.sessions, lines.actions = target.sessions, target.actions
                async with aclosing(sessions.exported()) as found:
                    async for exported in found:
                        async for some in lines.session(exported):
                            put(some)
                if not sessions.interrupted:
                    async for some in lines.end():
                        put(some)
                    if target is not None:
                        await in_daemon_thread(target.finish)
                    render(ctx, lines, file)
        finally:
            if target is not None:
                if target.is_incomplete and redaction is None:
                    ctx.out.notice(f"{target.part} is incomplete; --resume goes on with it")
                target.close(discard=redaction is not None)
    sessions.each.exit()


class _Sessions:
    """The selected sessions, without those that are in the file already."""

    def __init__(
        self, ctx: CommandContext, manager: "StateManager", selection: Selection, target: "ExportTarget | None"
    ) -> None:
        self._ctx = ctx
        self._manager = manager
        self._written = target.written if target is not None else None
        batches = selection.ids if selection.ids is not None else selection.batches(AT_ONCE)
        self.each = EachId(ctx, batches, prints_rows=target is None)
        #: Whether a server cannot be reached, so that sessions are missing.
        self.interrupted = False

    async def exported(self) -> "AsyncGenerator[ExportedSession, None]":
        async with aclosing(self.each.rows(self._one, at_once=AT_ONCE, stop=True)) as rows:
            async for exported in rows:
                yield exported

    async def _one(self, session_id: str) -> "ExportedSession | None":
        if self._written is not None and not self._written.add_new([session_id]):
            return None
        try:
            whole = await self._manager.time_travel.whole(session_id)
            if whole.degraded:
                self._ctx.out.notice(whole.origin)
            return await self._manager.exports.exported(whole)
        except Unreachable:
            self.interrupted = True
            raise


def _writer(ctx: CommandContext, target: "ExportTarget | None", header: bytes) -> Callable[[bytes], None]:
    """Write to the file or to stdout; the header first, as soon as there is something to follow it."""
    first = target is None or target.is_empty

    def put(some: bytes) -> None:
        nonlocal first
        if first:
            some, first = header + some, False
        if target is not None:
            target.append(some)
        elif ctx.out.jq is not None:
            for line in some.splitlines():
                ctx.out.json_line(line)
        else:
            write(some)
            flush()

    return put


def render(ctx: CommandContext, lines: "ExportLines", file: Path | None) -> None:
    """Say on stderr what was written to a file, and what was redacted."""
    redacted = ", ".join(f"{kind} {counts['values']:,}" for kind, counts in lines.redacted.items())
    texts = [f"redacted values: {redacted}"] if redacted else []
    if lines.is_redacting and not redacted:
        texts = ["nothing was found to redact"]
    if file is not None:
        texts.insert(0, f"{plural(lines.sessions, 'session')} with {plural(lines.actions, 'action')} written to {file}")
    if texts:
        ctx.out.notice("; ".join(texts))
