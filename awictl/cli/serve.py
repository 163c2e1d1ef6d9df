"""`awictl serve`: the HTTP API."""

import logging
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InvalidInput
from .given import parse_duration
from .options import Run, command

if TYPE_CHECKING:
    import asyncio

app = typer.Typer(rich_markup_mode=None, add_completion=False)


def _uvloop() -> "asyncio.AbstractEventLoop":
    try:
        import uvloop
    except ImportError:
        raise InvalidInput("the server's packages are not installed: pip install 'awictl[server]'") from None
    return uvloop.new_event_loop()


@command(
    app,
    "serve",
    examples=[
        "awictl serve --embedded",
        "awictl --profile production serve --port 8080 --workers 4",
        "awictl serve --embedded --allow-register --access-log",
    ],
    loop=_uvloop,
)
async def serve(
    run: Run,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.", metavar="ADDRESS")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on; 0: any free one.", min=0, max=65535)] = 8080,
    workers: Annotated[int, typer.Option("--workers", help="Processes that serve.", min=1, max=256)] = 1,
    allow_register: Annotated[
        bool, typer.Option("--allow-register", help="Let anybody who can connect register as an agent.")
    ] = False,
    rate_limit: Annotated[
        int,
        typer.Option(
            "--rate-limit", help="Requests an hour for each agent and operation; 0: any number.", metavar="N", min=0
        ),
    ] = 1000,
    max_body: Annotated[
        int, typer.Option("--max-body", help="Largest body of a request.", metavar="BYTES", min=2)
    ] = 1_048_576,
    request_timeout: Annotated[
        Any,
        typer.Option("--request-timeout", help="How long a request may take.", metavar="SPAN", parser=parse_duration),
    ] = "10s",
    access_log: Annotated[bool, typer.Option("--access-log", help="Log every request.")] = False,
    behind_tls: Annotated[bool, typer.Option("--behind-tls", help="Something in front ends TLS: do not warn.")] = False,
) -> None:
    """Serve the HTTP API of the Express app, until Ctrl-C or SIGTERM. Logs are JSON lines on stderr."""
    from ..server.options import ServerOptions
    from ..server.run import serve as run_server

    options = ServerOptions(
        host, port, workers, allow_register, rate_limit, max_body, max(request_timeout, 1) / 1000, access_log
    )
    level = logging.ERROR if run.options.quiet else logging.DEBUG if run.options.verbose else logging.INFO
    if options.wide and not behind_tls:
        run.out.notice(
            f"WARNING: listening on {host} without TLS: whoever is on the way can read the agents' API keys. Put "
            "something in front that ends TLS (and say --behind-tls), or listen on 127.0.0.1"
        )
    await run_server(run.settings, options, level)
