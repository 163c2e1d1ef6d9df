"""`awictl ui`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import Rate, Redact
from ..framework.params import option
from ..framework.server_loop import server_loop
from ..framework.stdout import flush

if TYPE_CHECKING:
    from ...ui.options import InspectorOptions

Host = Annotated[str, option("--host", help="Address to listen on.", metavar="ADDRESS")]
Port = Annotated[
    int, option("--port", metavar="PORT", help="Port to listen on; 0 selects a free one.", min=0, max=65535)
]
Open = Annotated[bool, option("--open", help="Open the page in a browser.")]
BehindTls = Annotated[
    bool, option("--behind-tls", help="A proxy terminates TLS: other machines may connect, cookies are for HTTPS only.")
]
Insecure = Annotated[bool, option("--insecure", help="Other machines may connect, although without TLS.")]
AllowedHosts = Annotated[
    list[str] | None,
    option(
        "--allow-host",
        metavar="NAME",
        help="Name under which browsers may reach the page, such as inspector.example.com; may be repeated.",
        show_default=False,
    ),
]


@cli_command(
    examples=[
        "awictl ui --open",
        "awictl --profile production ui --redact default",
        "awictl ui --host 0.0.0.0 --behind-tls --allow-host inspector.example.com",
    ],
    loop_factory=server_loop("ui"),
)
def command(
    ctx: CommandContext,
    host: Host = "127.0.0.1",
    port: Port = 0,
    open_browser: Open = False,
    redact: Redact = None,
    rate: Rate = None,
    behind_tls: BehindTls = False,
    insecure: Insecure = False,
    allowed_hosts: AllowedHosts = None,
) -> Work:
    """Open the inspector, a page on which to find sessions, scrub through them, and follow them. It only reads.

    The printed link works once, in one browser; another one is printed then. Ctrl-C stops.
    """
    from ...document.redaction.rules import parse_redaction
    from ...ui.options import InspectorOptions

    options = InspectorOptions(
        host=host,
        port=port,
        behind_tls=behind_tls,
        allowed_hosts=tuple(allowed_hosts or ()),
        redaction=parse_redaction(redact) if redact else None,
        rate=rate,
        profile=ctx.options.profile,
    )
    return run(ctx, options, insecure=insecure, open_browser=open_browser)


async def run(ctx: CommandContext, options: "InspectorOptions", *, insecure: bool, open_browser: bool) -> None:
    """Run the inspector."""
    from ...ui.run import run_inspector

    if insecure and options.is_wide and not options.behind_tls:
        ctx.out.notice(
            f"listening on {options.host} without TLS: whoever can read the network reads the sessions and the link"
        )
    await run_inspector(ctx.settings, options, printer(ctx), insecure=insecure, open_browser=open_browser)


def printer(ctx: CommandContext) -> Callable[[str], None]:
    """What prints links: the first one on stdout, further ones on stderr."""
    first = True

    def on_link(link: str) -> None:
        nonlocal first
        if first:
            render(ctx, link)
        else:
            ctx.out.notice(f"the link was used; for another browser: {link}")
        first = False

    return on_link


def render(ctx: CommandContext, link: str) -> None:
    """Print the first link."""
    from rich.text import Text

    ctx.out.one({"url": link}, table=lambda: Text(link, overflow="fold", no_wrap=True), raw=link.encode())
    ctx.out.notice("the link works once, in one browser; Ctrl-C stops")
    flush()
