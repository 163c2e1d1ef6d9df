"""`awictl serve`."""

import logging
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import InvalidInput
from ..framework.command import CommandContext, Work, cli_command
from ..framework.parsers import parse_duration

if TYPE_CHECKING:
    import asyncio

    from ...server.options import ServerOptions

Host = Annotated[str, typer.Option("--host", help="Address to listen on.", metavar="ADDRESS")]
Port = Annotated[
    int, typer.Option("--port", metavar="PORT", help="Port to listen on; 0 selects a free one.", min=0, max=65535)
]
Workers = Annotated[int, typer.Option("--workers", metavar="N", help="Number of worker processes.", min=1, max=256)]
AllowRegister = Annotated[bool, typer.Option("--allow-register", help="Allow any client to register as an agent.")]
RateLimit = Annotated[
    int,
    typer.Option(
        "--rate-limit", help="Requests per hour for each agent and operation; 0 disables the limit.", metavar="N", min=0
    ),
]
MaxBody = Annotated[
    int, typer.Option("--max-body", help="Maximum size of a request body, in bytes.", metavar="BYTES", min=2)
]
RequestTimeout = Annotated[
    Any,
    typer.Option(
        "--request-timeout",
        help="Maximum duration of a request, such as 10s.",
        metavar="DURATION",
        parser=parse_duration,
    ),
]
AccessLog = Annotated[bool, typer.Option("--access-log", help="Log each request.")]
BehindTls = Annotated[bool, typer.Option("--behind-tls", help="A proxy terminates TLS: do not warn about plain HTTP.")]


def _uvloop() -> "asyncio.AbstractEventLoop":
    try:
        import uvloop
    except ImportError:
        raise InvalidInput("the packages of the server are not installed: pip install 'awictl[server]'") from None
    return uvloop.new_event_loop()


@cli_command(
    examples=[
        "awictl serve --embedded",
        "awictl --profile production serve --port 8080 --workers 4",
        "awictl serve --embedded --allow-register --access-log",
    ],
    loop_factory=_uvloop,
)
def command(
    ctx: CommandContext,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    workers: Workers = 1,
    allow_register: AllowRegister = False,
    rate_limit: RateLimit = 1000,
    max_body: MaxBody = 1_048_576,
    request_timeout: RequestTimeout = "10s",
    access_log: AccessLog = False,
    behind_tls: BehindTls = False,
) -> Work:
    """Serve the HTTP API of the Express app. Stops at Ctrl-C or SIGTERM; logs are JSON lines on stderr."""
    from ...server.options import ServerOptions

    timeout = max(request_timeout, 1) / 1000
    options = ServerOptions(host, port, workers, allow_register, rate_limit, max_body, timeout, access_log)
    return run(ctx, options, behind_tls)


async def run(ctx: CommandContext, options: "ServerOptions", behind_tls: bool) -> None:
    """Run the server."""
    from ...server.run import serve

    level = logging.ERROR if ctx.options.quiet else logging.DEBUG if ctx.options.verbose else logging.INFO
    if options.wide and not behind_tls:
        ctx.out.notice(
            f"WARNING: listening on {options.host} without TLS: the agents' API keys can be read in transit. "
            "Terminate TLS in a proxy and pass --behind-tls, or listen on 127.0.0.1"
        )
    await serve(ctx.settings, options, level)
