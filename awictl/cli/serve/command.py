"""`awictl serve`."""

import ipaddress
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from ...agents.api_keys import Permission
from ...errors import InvalidInput
from ...util.converters import origins
from ..framework.command import CommandContext, Work, cli_command
from ..framework.common_options import NoFallback
from ..framework.params import option
from ..framework.parsers import parse_duration
from ..framework.server_loop import server_loop

if TYPE_CHECKING:
    from ...server.options import ServerOptions

Host = Annotated[str, option("--host", help="Address to listen on.", metavar="ADDRESS")]
Port = Annotated[
    int, option("--port", metavar="PORT", help="Port to listen on; 0 selects a free one.", min=0, max=65535)
]
Workers = Annotated[int, option("--workers", metavar="N", help="Number of worker processes.", min=1, max=256)]
AllowRegister = Annotated[bool, option("--allow-register", help="Allow any client to register as an agent.")]
RegisterPermissions = Annotated[
    list[Permission] | None,
    option(
        "--register-permission",
        help="Permission that an agent may have if it registers itself; repeatable.  [default: read]",
        show_default=False,
    ),
]
RegisterLimit = Annotated[
    int,
    option(
        "--register-limit", help="Registrations per hour for each address; 0 disables the limit.", metavar="N", min=0
    ),
]
RateLimit = Annotated[
    int,
    option(
        "--rate-limit", help="Requests per hour for each agent and operation; 0 disables the limit.", metavar="N", min=0
    ),
]
MaxBody = Annotated[int, option("--max-body", help="Maximum size of a request body, in bytes.", metavar="BYTES", min=2)]
RequestTimeout = Annotated[
    Any,
    option(
        "--request-timeout",
        help="Maximum duration of a request, such as 10s.",
        metavar="DURATION",
        parser=parse_duration,
    ),
]
UnknownKeys = Annotated[
    int,
    option(
        "--unknown-key-limit",
        help="Requests with unknown API keys per minute for each address; 0 disables the limit.",
        metavar="N",
        min=0,
    ),
]
AccessLog = Annotated[bool, option("--access-log", help="Log each request.")]
BehindTls = Annotated[bool, option("--behind-tls", help="A proxy terminates TLS: do not warn about plain HTTP.")]
Proxies = Annotated[
    list[str] | None,
    option(
        "--proxy",
        help="Address or network of a proxy whose X-Forwarded-For names the client; repeatable.",
        metavar="ADDRESS",
        show_default=False,
    ),
]
Cors = Annotated[
    list[str] | None,
    option(
        "--cors",
        help="Origin of web pages that may call the API, such as https://example.com, or * for any; repeatable.",
        metavar="ORIGIN",
        show_default=False,
    ),
]


@cli_command(
    examples=[
        "awictl serve --embedded",
        "awictl --profile production serve --port 8080 --workers 4",
        "awictl serve --embedded --allow-register --register-permission read --register-permission write --access-log",
        "awictl serve --host 0.0.0.0 --behind-tls --proxy 10.0.0.0/8",
        "awictl serve --cors https://agents.example.com --cors http://localhost:3000",
    ],
    loop_factory=server_loop("server"),
    logs_errors=True,
)
def command(
    ctx: CommandContext,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    workers: Workers = 1,
    allow_register: AllowRegister = False,
    register_permission: RegisterPermissions = None,
    register_limit: RegisterLimit = 10,
    rate_limit: RateLimit = 1000,
    max_body: MaxBody = 1_048_576,
    request_timeout: RequestTimeout = "10s",
    unknown_keys: UnknownKeys = 60,
    access_log: AccessLog = False,
    behind_tls: BehindTls = False,
    proxy: Proxies = None,
    cors: Cors = None,
    no_fallback: NoFallback = False,
) -> Work:
    """Serve the HTTP API of the Express app. Stops at Ctrl-C or SIGTERM.

    Logs are JSON lines on stderr; text, if that is a terminal.
    """
    from ...server.options import ServerOptions

    ctx.no_fallback = no_fallback
    options = ServerOptions(
        host=host,
        port=port,
        workers=workers,
        allow_register=allow_register,
        register_permissions=tuple(register_permission or [Permission.READ]),
        register_limit=register_limit,
        rate_limit=rate_limit,
        max_body_bytes=max_body,
        request_seconds=max(request_timeout, 1) / 1000,
        access_log=access_log,
        unknown_keys=unknown_keys,
        proxies=tuple(map(_network, proxy or [])),
        behind_tls=behind_tls,
        cors=_origins(cors or []),
    )
    return run(ctx, options)


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise InvalidInput(f"--proxy {text!r:.80} is not an IP address or network") from None


def _origins(names: list[str]) -> tuple[str, ...]:
    try:
        return _split(origins(names))
    except ValueError as error:
        raise InvalidInput(f"--cors {', '.join(names)!r:.80} {error}") from None


def _split(names: str) -> tuple[str, ...]:
    return tuple(names.split(",")) if names else ()


async def run(ctx: CommandContext, options: "ServerOptions") -> None:
    """Run the server."""
    from ...server.log_formats import configure
    from ...server.run import serve

    level = logging.ERROR if ctx.options.quiet else logging.DEBUG if ctx.options.verbose else logging.INFO
    configure(level)  # before the settings are loaded, which may log warnings
    if not options.cors and ctx.settings.serve_cors:
        options = replace(options, cors=_split(ctx.settings.serve_cors))
    await serve(ctx.settings, options, level)
