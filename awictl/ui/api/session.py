"""The data of the page `session`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...errors import NoSession
from ...util.daemon_thread import in_daemon_thread
from ..http.responses import json_response
from ..inspector import inspector_of, manager_of
from .session_payload import payload_turns, session_payload


async def session(request: Request) -> Response:
    """A session, live or archived; see `session_payload`."""
    manager, redaction = manager_of(request), inspector_of(request).options.redaction
    async with inspector_of(request).shared(payload_turns):
        try:
            whole = await manager.time_travel.whole(request.path_params["id"])
        except NoSession as error:
            raise await manager.explain_missing(error) from None
        return await in_daemon_thread(lambda: json_response(request, session_payload(whole, redaction), redacted=True))


ROUTES = [Route("/api/sessions/{id}", session)]
