"""`awictl bench tokens`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ...diagnostics.bench.vocabulary import TokenCounter, Vocabulary
from ...errors import InvalidInput
from ...util.daemon_thread import in_daemon_thread
from ...util.humanize import plural
from ..framework.command import CommandContext, Work, cli_command
from ..framework.params import option
from ..framework.parsers import plain_id
from ..framework.session_view import marked
from . import view

if TYPE_CHECKING:
    from ...diagnostics.bench.tokens import Sizes, TokenComparison

Html = Annotated[
    str | None,
    option("--html", metavar="FILE", help="An HTML file, or a folder with HTML files, to count.", show_default=False),
]
Session = Annotated[
    str | None,
    option(
        "--session",
        metavar="ID",
        help="A live or archived session to count, with the diffs of its actions.",
        show_default=False,
        callback=plain_id,
    ),
]
Name = Annotated[Vocabulary, option("--vocabulary", metavar="NAME", help="o200k_base or cl100k_base.")]


@cli_command(
    examples=[
        "awictl bench tokens   # a built-in example; needs no server",
        "awictl bench tokens --session ID --html page.html   # a session, and the page that it describes",
        "awictl bench tokens --html pages/ -o json | jq .pages.html.tokens",
    ],
)
def command(
    ctx: CommandContext,
    html: Html = None,
    session: Session = None,
    vocabulary: Name = Vocabulary.O200K_BASE,
) -> Work:
    """Count the tokens of pages, and of the session state that describes them.

    A page is compared with the whole session document (state), with the same without its trajectory (head), with the
    response to GET /api/agent/session/state (API state), and with the diff of each step. Without --html, pages are
    rendered from the session's own page state, because only equal contents can be compared. Requires the extra `bench`.
    """
    if html == "":
        raise InvalidInput("--html is empty; it takes an HTML file, or a folder with HTML files")
    return run(ctx, Path(html) if html is not None else None, session, vocabulary)


async def run(ctx: CommandContext, html: Path | None, session_id: str | None, vocabulary: Vocabulary) -> None:
    """Count the tokens, in a thread."""
    counter = await in_daemon_thread(lambda: TokenCounter(vocabulary))
    document, degraded = await _document(ctx, session_id) if session_id is not None else (None, False)
    sizes = await _count_files(ctx, html, counter) if html is not None else None
    if sizes is not None and document is None:
        ctx.out.notice("pages are compared with the session that describes them: name it with --session")
    found = await in_daemon_thread(partial(_compare, document, sizes, counter))
    render(ctx, {"vocabulary": vocabulary.value, "session_id": session_id, **found.row()}, degraded)


async def _document(ctx: CommandContext, session_id: str) -> tuple[dict[str, Any], bool]:
    """The document of a live or archived session, and whether Redis is unreachable. Raises NotFound."""
    async with ctx.manager() as manager:
        found = await manager.find_session(session_id)
        if found.origin:
            ctx.out.notice(found.origin)
        document = found.document if found.stored is None else manager.decoded(session_id, found.stored)
        return document, found.degraded


async def _count_files(ctx: CommandContext, path: Path, counter: TokenCounter) -> "Sizes":
    """Count the tokens of the user's pages. Files that are no pages are reported; raises InvalidInput if all are."""
    from ...diagnostics.bench.html_files import find_pages, read_page
    from ...diagnostics.bench.tokens import Sizes

    sizes = Sizes([], [])

    def count(one: Path) -> None:
        page = read_page(one)
        sizes.add(counter.count(page.text), page.size)

    paths = await in_daemon_thread(lambda: find_pages(path))
    with ctx.out.progress(len(paths), "counting") as on_step:
        for one in paths:
            try:
                await in_daemon_thread(partial(count, one))
            except InvalidInput as error:
                if len(paths) == 1:
                    raise
                ctx.out.notice(f"skipped: {error}")
            on_step(1)
    if not sizes.tokens:
        raise InvalidInput(f"none of the {plural(len(paths), 'file')} in {path} is a page")
    return sizes


def _compare(document: dict[str, Any] | None, html: "Sizes | None", counter: TokenCounter) -> "TokenComparison":
    from ...diagnostics.bench.example_session import ExampleSite, example_steps
    from ...diagnostics.bench.tokens import TokenComparison, compare_session, compare_steps

    if document is not None:
        return compare_session(document, html, counter.count, api_state)
    if html is not None:
        return TokenComparison({"html": html}, {}, by_step=False)
    return compare_steps(example_steps(ExampleSite()), counter.count, api_state)


def api_state(document: Mapping[str, Any]) -> bytes:
    """The response of GET …/session/state."""
    from ...document.json_codec import dumps
    from ...document.timestamps import parse_timestamp
    from ...server import response_bodies

    now = parse_timestamp(document.get("last_updated")) or datetime.now(UTC)
    return dumps(response_bodies.state(str(document.get("session_id")), dict(document), now))


def render(ctx: CommandContext, row: dict[str, Any], degraded: bool) -> None:
    """Print the numbers and ratios."""
    ctx.out.one(marked(row, degraded), table=lambda: view.tokens(row))
