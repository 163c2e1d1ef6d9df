"""Runs the server: one worker in this process, or several workers in child processes."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import threading
from dataclasses import replace
from functools import partial
from multiprocessing import parent_process

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.supervisors import Multiprocess

from ..sessions.manager import StateManager
from ..settings import Settings
from ..store.redis.node import MAX_CONNECTIONS
from ..util.http.connections import ConnectionLimits, max_connections
from ..util.http.protocol import BoundedHttpProtocol
from ..util.http_server import SignalledServer, listen, url_of_address
from .app import Api, create_app
from .metrics import SHARED_FOLDER
from .options import ServerOptions

log = logging.getLogger("awictl.server")

#: Seconds in which requests must finish after SIGTERM or Ctrl-C.
GRACE_SECONDS = 3
#: Seconds after which an idle connection is closed.
KEEP_ALIVE_SECONDS = 30
#: Maximum number of connections that wait to be accepted.
BACKLOG = 1_024


async def serve(settings: Settings, options: ServerOptions, level: int) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises Refused if the server cannot start; KeyboardInterrupt after Ctrl-C.

    `level`: of the log, which the caller has configured for this process.
    """
    if options.wide and not options.behind_tls:
        log.warning(
            "listening on %s without TLS: the agents' API keys can be read in transit. Terminate TLS in a proxy and "
            "pass --behind-tls, or listen on 127.0.0.1",
            options.host,
        )
    async with StateManager.open(settings) as manager:  # starts the embedded server, if it is used
        manager.check_writable()
        where = {"redis": manager.store.where, "archive": manager.agents.where}
    listener = listen(options.host, options.port, BACKLOG)
    host, port = listener.getsockname()[:2]
    total = max_connections(resource.getrlimit(resource.RLIMIT_NOFILE)[0], MAX_CONNECTIONS)
    limits = ConnectionLimits(total, options.proxies)
    options = replace(options, host=host, port=port, agent_requests=limits.per_agent)
    url = url_of_address(host, port)
    about = {"pid": os.getpid(), "workers": options.workers, "max_connections": limits.total, **where}
    log.info("listening on %s", url, extra={"url": url, **about})
    config = uvicorn.Config(
        partial(create_app if options.workers == 1 else _create_worker, settings, options, level),
        factory=True,
        http=partial(BoundedHttpProtocol, timeout=options.request_seconds, limits=limits),  # type: ignore[arg-type]
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(options.proxies),
        forwarded_allow_ips=list(options.proxies),
        workers=options.workers,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=BACKLOG,
    )
    try:
        if options.workers == 1:
            await SignalledServer(config).serve([listener])
        else:
            _serve_with_workers(config, listener)
    finally:
        listener.close()
        log.info("stopped")


def _serve_with_workers(config: uvicorn.Config, listener: socket.socket) -> None:
    # made by mkdtemp: it belongs to this user, nobody else has access (0700), and its name cannot be guessed
    folder = tempfile.mkdtemp(prefix="awictl-metrics-")
    os.environ[SHARED_FOLDER] = folder
    supervisor = _Supervisor(config, [listener])
    try:
        supervisor.run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if supervisor.interrupted:
        raise KeyboardInterrupt


class _Supervisor(Multiprocess):
    """uvicorn's supervisor of worker processes, with a flag for Ctrl-C and accurate metrics after a worker died."""

    interrupted = False

    def handle_int(self) -> None:
        self.interrupted = True
        super().handle_int()

    def keep_subprocess_alive(self) -> None:
        dead = [one.pid for one in self.processes if one.exitcode is not None and one.pid is not None]
        super().keep_subprocess_alive()
        for pid in dead:
            # otherwise its requests would count as in flight for ever
            mark_process_dead(pid)  # type: ignore[no-untyped-call]


def _create_worker(settings: Settings, options: ServerOptions, level: int) -> Api:
    """The application of one of several workers. It stops if its parent has died, even by SIGKILL."""
    parent = parent_process()

    def stop_with_parent() -> None:
        if parent is not None:
            parent.join()
            shutil.rmtree(os.environ[SHARED_FOLDER], ignore_errors=True)
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_with_parent, daemon=True).start()
    try:
        return create_app(settings, options, level)
    except OSError:
        if parent is not None and not parent.is_alive():
            sys.exit(0)  # the folder of the metrics is gone already
        raise
