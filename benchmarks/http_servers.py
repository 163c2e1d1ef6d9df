"""Compares HTTP servers for one Redis GET: Starlette and a plain ASGI function, on uvicorn and on granian.

    uv run --with granian python benchmarks/http_servers.py          # 20 rounds, about a minute

All servers run at once and take turns, a third of a second each, so that other load on the machine affects all of them
alike. Each has one worker and uvloop. The result is the median of the ratios to Starlette on uvicorn of all rounds.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from load import Slice, connected, loaded, wait_for
from support.valkey import ValkeyServer, free_port

from awictl import Settings
from awictl.store.redis.server import Server, connect

KEY = "AWI:SESSION:sess_fa98b181260642d9bf08786c6737970a"
FILE = Path(__file__).parents[1] / "tests" / "data" / "session_02_one_delta.json"
KINDS = ["starlette", "routed", "plain"]


@cache
def _redis() -> Server:
    return connect(Settings.load())


async def _get() -> bytes:
    [raw] = await _redis().execute_idempotent(("GET", KEY))
    assert isinstance(raw, bytes)
    return raw


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """A plain ASGI function."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    raw = await _get()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(raw))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": raw})


class Plain:
    """`plain` as an object, which a Starlette route takes as an ASGI application."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await plain(scope, receive, send)


def starlette() -> Any:
    """A Starlette application with an endpoint function."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def endpoint(_: Request) -> Response:
        return Response(await _get(), media_type="application/json")

    return Starlette(routes=[Route("/get", endpoint)])


def routed() -> Any:
    """A Starlette application that routes to `plain`."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    return Starlette(routes=[Route("/get", Plain())])


def serve(server: str, kind: str, port: int) -> None:
    """Run one of the servers."""
    if server == "uvicorn":
        import uvicorn

        app = plain if kind == "plain" else globals()[kind]()
        uvicorn.run(app, port=port, access_log=False, log_level="error", proxy_headers=False, ws="none")
    else:
        from granian import Granian
        from granian.constants import Interfaces, Loops

        Granian(
            f"http_servers:{kind}",
            port=port,
            interface=Interfaces.ASGI,
            loop=Loops.uvloop,
            factory=kind != "plain",
            log_enabled=False,
            websockets=False,
        ).serve()


def descendants(pid: int) -> list[int]:
    """The ids of a process and of all its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in descendants(int(child)))]


@contextmanager
def running(server: str, kind: str, environment: dict[str, str]) -> Iterator[tuple[int, list[int]]]:
    """Run a server in a child process. Yields its port and its process ids."""
    port = free_port()
    command = [sys.executable, __file__, "serve", server, kind, str(port)]
    process = subprocess.Popen(command, cwd=Path(__file__).parent, env={**os.environ, **environment})
    try:
        wait_for(port)
        yield port, descendants(process.pid)
    finally:
        process.terminate()
        process.wait()


async def measure(servers: dict[str, tuple[int, list[int]]], rounds: int) -> None:
    """Print the requests per second of each server, and the ratios."""
    clients = {name: await connected(port) for name, (port, _) in servers.items()}
    slices: dict[str, list[Slice]] = {name: [] for name in servers}
    for number in range(rounds + 1):
        for name, (_, pids) in servers.items():
            one = await loaded(clients[name], "/get", pids)
            if number:  # the first round warms up
                slices[name].append(one)
    first = next(iter(slices.values()))
    print(f"{'server':24}{'requests/s':>12}{'ratio':>8}{'CPU, us':>10}")
    for name, found in slices.items():
        ratio = statistics.median(one.speed / base.speed for one, base in zip(found, first, strict=True))
        speed, cost = (statistics.median(values) for values in zip(*found, strict=True))
        print(f"{name:24}{speed:12,.0f}{ratio:8.2f}{cost:10.0f}")


def main(rounds: int) -> None:
    """Start a private Valkey and all servers, and measure."""
    with ValkeyServer() as valkey, ExitStack() as stack:
        valkey.raw.set(KEY, FILE.read_bytes())
        environment = {"REDIS_SOCKET": str(valkey.socket)}
        servers = {
            f"{server}, {kind}": stack.enter_context(running(server, kind, environment))
            for server in ("uvicorn", "granian")
            for kind in KINDS
        }
        uvloop.run(measure(servers, rounds))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
