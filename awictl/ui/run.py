"""Runs the inspector until Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import resource
import webbrowser
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import uvicorn

from ..errors import Refused
from ..settings import Settings
from ..store.redis.node import MAX_CONNECTIONS
from ..util.daemon_thread import in_daemon_thread
from ..util.http.connections import ConnectionLimits, max_connections
from ..util.http.protocol import BoundedHttpProtocol
from ..util.http_server import SignalledServer, listen, url_of_address
from .app import create_app
from .http.access import TOKEN, AccessControl, HostNames, LoginLinks
from .inspector import Inspector
from .options import InspectorOptions

#: Seconds in which responses must end after Ctrl-C.
GRACE_SECONDS = 1
#: Maximum number of connections that wait to be accepted.
BACKLOG = 256


async def run_inspector(
    settings: Settings,
    options: InspectorOptions,
    on_link: Callable[[str], None],
    *,
    insecure: bool = False,
    open_browser: bool = False,
) -> None:
    """Serve the inspector until SIGTERM or Ctrl-C.

    on_link: receives the link to open, and a further one each time one was used. insecure: whether other machines may
    connect without TLS. Raises Refused if they could, or if the address cannot be used; KeyboardInterrupt after Ctrl-C.
    """
    if options.is_wide and not (options.behind_tls or insecure):
        raise Refused(
            f"on {options.host}, other machines could read sessions in transit: terminate TLS in a proxy and pass "
            "--behind-tls, or pass --insecure, or listen on 127.0.0.1 (`ssh -L` forwards it)"
        )
    listener = listen(options.host, options.port, BACKLOG)
    host, port = listener.getsockname()[:2]
    wide = options.is_wide
    options = replace(options, port=port)
    url = url_of_address(options.host.strip("[]"), port)

    def new_link() -> str:
        return f"{url}/?{TOKEN}={links.new_token()}"

    links = LoginLinks(lambda: on_link(new_link()))
    inspector = Inspector(settings, options)
    hosts = HostNames(host, port, wide=wide, allowed=options.allowed_hosts)
    app = AccessControl(create_app(inspector), links, hosts, port, secure=options.behind_tls)
    limits = ConnectionLimits(max_connections(resource.getrlimit(resource.RLIMIT_NOFILE)[0], MAX_CONNECTIONS))
    config = uvicorn.Config(
        app,
        http=partial(BoundedHttpProtocol, limits=limits),  # type: ignore[arg-type]
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=BACKLOG,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    link = new_link()
    on_link(link)
    if open_browser:
        await in_daemon_thread(lambda: webbrowser.open(link))
    try:
        await SignalledServer(config, inspector.stopping.set).serve([listener])
    finally:
        listener.close()


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a message of uvicorn is not about requests that were still running at the end, and were cancelled."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError) and "graceful shutdown exceeded" not in record.getMessage()
