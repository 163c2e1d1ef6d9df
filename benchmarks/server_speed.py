"""Compares `GET /api/agent/session/state` with a route of the same server that does one Redis GET.

    uv run python benchmarks/server_speed.py          # 30 rounds, about a minute

The routes take turns, a third of a second each, over the same connections, so that other load on the machine affects
all of them alike. The result is the median of the ratios of all rounds.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from load import Slice, connected, loaded, wait_for
from support.valkey import ValkeyServer, free_port

from awictl import Settings, StateManager

STATE, DIFF, HISTORY = (f"/api/agent/session/{name}" for name in ("state", "diff", "history"))
#: Routes that the benchmark adds to the server: one Redis GET, as an endpoint without authentication, and as a bare
#: ASGI function.
GET, BARE = "/benchmark/get", "/benchmark/bare"
#: The state of a session that has changed since the last request: its head is decoded and serialized again.
CHANGED = "/benchmark/state-changed"
TARGET = 0.7


def serve(port: int, session_key: str) -> None:
    """Run the server with the additional routes."""
    import uvicorn

    from awictl.agents.api_keys import Permission
    from awictl.server.api_request import ApiRequest
    from awictl.server.app import Api
    from awictl.server.asgi import Response
    from awictl.server.handlers import get_state
    from awictl.server.options import ServerOptions
    from awictl.server.routes import ROUTES, Route
    from awictl.util.http.connections import ConnectionLimits
    from awictl.util.http.protocol import BoundedHttpProtocol

    async def read() -> bytes:
        [raw] = await api.worker.manager.store._server.execute_idempotent(("GET", session_key))  # type: ignore[attr-defined]
        assert isinstance(raw, bytes)
        return raw

    async def endpoint(_: ApiRequest) -> Response:
        return Response(200, await read())

    async def bare(scope: object, receive: object, send: object) -> None:
        raw = await read()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(raw))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": raw})  # type: ignore[operator]

    async def changed(request: ApiRequest) -> Response:
        api.worker.manager.store.get_or_create._decoded.clear()  # type: ignore[attr-defined]
        return await get_state(request)

    routes = (
        *ROUTES,
        Route("GET", CHANGED, changed, {}, Permission.READ, operation="state"),
        Route("GET", GET, endpoint, {}, public=True),
    )
    api = Api(Settings.load(), ServerOptions(rate_limit=10**9), routes)
    api._endpoints[BARE] = {"GET": bare}  # type: ignore[dict-item]
    options = {"ws": "none", "access_log": False, "log_level": "error", "server_header": False, "proxy_headers": False}
    protocol = partial(BoundedHttpProtocol, limits=ConnectionLimits(1_000))
    uvicorn.run(api, port=port, http=protocol, **options)  # type: ignore[arg-type]


async def measure(port: int, secret: str, pid: int, rounds: int) -> None:
    """Print the requests per second of each route, and the ratios."""
    clients = await connected(port)
    routes = [BARE, GET, STATE, CHANGED, DIFF, HISTORY]
    slices: dict[str, list[Slice]] = {route: [] for route in routes}
    for number in range(rounds + 1):
        for route in routes:
            one = await loaded(clients, route, [pid], f"X-Agent-API-Key: {secret}")
            if number:  # the first round warms up
                slices[route].append(one)
    speeds = {route: [one.speed for one in found] for route, found in slices.items()}
    costs = {route: [one.cost for one in found] for route, found in slices.items()}
    print(f"{'route':34}{'requests/s':>12}{'of the GET':>12}{'of the bare':>13}{'server CPU, us':>16}")
    for route in routes:
        of_get, of_bare = (
            statistics.median(one / other for one, other in zip(speeds[route], speeds[base], strict=True))
            for base in (GET, BARE)
        )
        print(
            f"{route:34}{statistics.median(speeds[route]):12,.0f}{of_get:12.2f}{of_bare:13.2f}"
            f"{statistics.median(costs[route]):16.0f}"
        )
    ratio = statistics.median(one / other for one, other in zip(speeds[STATE], speeds[GET], strict=True))
    print(f"\nstate against one Redis GET: {ratio:.2f}   target >= {TARGET}   {'met' if ratio >= TARGET else 'MISSED'}")


@contextmanager
def running(settings: dict[str, str], session_key: str) -> Iterator[tuple[int, int]]:
    """Run the server in a child process. Yields its port and its process id."""
    port = free_port()
    command = [sys.executable, __file__, "serve", str(port), session_key]
    process = subprocess.Popen(command, env={**os.environ, **settings})
    try:
        wait_for(port)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


async def prepare(settings: Settings) -> tuple[str, str]:
    """Create an agent with a session of ten actions. Returns its API key and the Redis key of the session."""
    async with StateManager.open(settings) as manager:
        agent = await manager.agents.register("benchmark")
        visit = await manager.agent_sessions.get_or_create(agent.key.agent_id, "benchmark", route="/api/agent/posts")
        for cursor in range(10):
            delta = {"page_state": {"pagination": {"cursor": cursor}}}
            await manager.apply(visit.session_id, delta, {"action": "next_page", "input": {"page": cursor}})
        return agent.secret, f"AWI:SESSION:{visit.session_id}"


def main(rounds: int) -> None:
    """Start a private Valkey and the server, and measure."""
    with tempfile.TemporaryDirectory() as folder, ValkeyServer() as valkey:
        environment = {"REDIS_SOCKET": str(valkey.socket), "AWI_ARCHIVE_URL": f"sqlite:///{folder}/archive.db"}
        settings = Settings.load(environ=environment, dotenv_file=Path(folder) / "none")
        secret, session_key = asyncio.run(prepare(settings))
        with running(environment, session_key) as (port, pid):
            uvloop.run(measure(port, secret, pid, rounds))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]), sys.argv[3])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
