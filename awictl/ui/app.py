"""The inspector as an ASGI application: its pages, their data, and who has access."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import AwiError
from .api import about, agents, caches, compare, health, session, session_events, sessions
from .http.abandoned import EndAbandoned
from .http.responses import PROBLEM, encoded, problem_response
from .http.static_files import StaticFiles
from .inspector import Inspector

#: Paths of the pages. All are the same file, which shows the page of its path.
PAGES = (
    "/",
    "/sessions",
    "/sessions/{id:path}",
    "/compare",
    "/agents",
    "/agents/{id:path}",
    "/caches",
    "/caches/{id:path}",
    "/health",
)
_API = [about, sessions, session, session_events, compare, agents, caches, health]


def create_app(inspector: Inspector) -> Starlette:
    """The application, without the control of access (`access.AccessControl`)."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with inspector.opened():
            yield

    files = StaticFiles()
    app = Starlette(
        routes=[
            *(Route(path, _page) for path in PAGES),
            Route("/static/{path:path}", files.serve),
            *(route for module in _API for route in module.ROUTES),
        ],
        middleware=[Middleware(EndAbandoned)],
        lifespan=lifespan,
        exception_handlers={AwiError: _awi_error, HTTPException: _http_error},
    )
    app.state.inspector = inspector
    app.state.files = files
    return app


async def _page(request: Request) -> Response:
    return _document(request)


def _document(request: Request, status: int = 200) -> Response:
    files: StaticFiles = request.app.state.files
    return files.page(request, status)


async def _awi_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AwiError)  # noqa: S101  # it is registered for these only
    return problem_response(request, error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # it is registered for these only
    if error.status_code == 404 and not request.url.path.startswith(("/api/", "/static/")):
        return _document(request, 404)  # which says that there is no such page
    problem = {"status": error.status_code, "title": error.detail, "detail": "The inspector has no such page."}
    return Response(encoded(request, problem), error.status_code, error.headers, PROBLEM)
