"""Runs the server: one worker in this process, or several in processes of their own."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import parent_process

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.supervisors import Multiprocess

from ..errors import Refused
from ..sessions.manager import StateManager
from ..settings import Settings
from .app import Api, create_app
from .json_logging import configure
from .metrics import SHARED_FOLDER
from .options import ServerOptions
from .protocol import BoundedHttpProtocol

log = logging.getLogger("awictl.server")

#: Seconds that requests have to finish once the server is told to stop.
GRACE_SECONDS = 3
#: Seconds that an idle connection is kept.
KEEP_ALIVE_SECONDS = 30
#: Connections that may wait to be accepted.
BACKLOG = 1_024


async def serve(settings: Settings, options: ServerOptions, level: int) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises Refused where that cannot begin, and KeyboardInterrupt after Ctrl-C."""
    async with StateManager.open(settings) as manager:  # with the embedded server, it is started now
        manager.check_writable()
        where = {"redis": manager.store.where, "archive": manager.agents.where}
    listener = _listen(options)
    host, port = listener.getsockname()[:2]
    options = replace(options, host=host, port=port)
    configure(level)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    log.info("listening on %s", url, extra={"url": url, "pid": os.getpid(), "workers": options.workers, **where})
    config = uvicorn.Config(
        partial(create_app if options.workers == 1 else _create_worker, settings, options, level),
        factory=True,
        http=partial(BoundedHttpProtocol, patience=options.request_seconds),  # type: ignore[arg-type]
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody asks where a request comes from
        workers=options.workers,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=BACKLOG,
    )
    try:
        if options.workers == 1:
            await _Server(config).serve([listener])
        else:
            _serve_by_many(config, listener)
    finally:
        listener.close()
        log.info("stopped")


def _serve_by_many(config: uvicorn.Config, listener: socket.socket) -> None:
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
    """uvicorn's parent of workers, which tells Ctrl-C from SIGTERM."""

    interrupted = False

    def handle_int(self) -> None:
        self.interrupted = True
        super().handle_int()

    def keep_subprocess_alive(self) -> None:
        dead = [one.pid for one in self.processes if one.exitcode is not None and one.pid is not None]
        super().keep_subprocess_alive()
        for pid in dead:
            # what it was about to answer is not in flight any more
            mark_process_dead(pid)  # type: ignore[no-untyped-call]


def _create_worker(settings: Settings, options: ServerOptions, level: int) -> Api:
    """The application of one worker of several, which ends when its parent does, even by SIGKILL."""
    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()
    return create_app(settings, options, level)


class _Server(uvicorn.Server):
    """uvicorn's server, which ends as a command does: with 0 after SIGTERM."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        interrupted = False

        def stop(number: int) -> None:
            nonlocal interrupted
            interrupted = interrupted or number == signal.SIGINT
            self.handle_exit(number, None)

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
        if interrupted:
            raise KeyboardInterrupt


def _listen(options: ServerOptions) -> socket.socket:
    """A socket on the host and port that were asked for."""
    host = options.host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, options.port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise Refused(
            f"cannot listen on {options.host}, port {options.port}: {getattr(error, 'strerror', None) or error}"
        ) from None
    listener.set_inheritable(True)
    return listener
