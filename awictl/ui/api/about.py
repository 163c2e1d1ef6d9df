"""What the inspector shows, and of which servers."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..._version import __version__
from ...document.timestamps import timestamp
from ..http.responses import json_response
from ..inspector import inspector_of


async def about(request: Request) -> Response:
    """The version, the servers, and what is redacted."""
    inspector = inspector_of(request)
    archive = inspector.manager.archive
    redaction = inspector.options.redaction
    value = {
        "version": __version__,
        "profile": inspector.options.profile,
        "redis": inspector.manager.store.where,
        "archive": archive.where if archive is not None else None,
        "redaction": redaction.row() if redaction is not None else None,
        "now": timestamp(),
    }
    return json_response(request, value, redacted=True)


ROUTES = [Route("/api/about", about)]
