"""Records each request of an agent as an action of its session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from ...document.schema import APP_ACTIONS
from ...errors import AwiError
from ..asgi import App, Message, Receive, Scope, Send, masked_url, url_of
from .agent_request import AgentRequest, WithSession
from .lifespan import run_lifespan

log = logging.getLogger("awictl.server")

#: Seconds to wait for actions that are being recorded when the site stops.
DRAIN_SECONDS = 10.0


class RecordAction(WithSession):
    """Records each request of an agent as an action of its session, after the response was sent.

    It records the method, URL, status and observation, never a body. A separate task does it, so that it completes if
    the client disconnects; the site waits for it when it stops. An incomplete response is recorded as a failure.
    `action`: the name of the recorded actions, or a function that returns it for a scope. By default, requests for
    posts, comments and searches have the app's names, which its archive accepts; others are named by method and path.
    """

    def __init__(self, app: App, action: str | Callable[[Scope], str] | None = None) -> None:
        super().__init__(app)
        self._action = action
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await run_lifespan(self.app, scope, receive, send, self._drain)
            return
        found = self.found(scope)
        if found is None:
            await self.app(scope, receive, send)
            return
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value  # if the app raises before it responds
        asked = {"method": scope["method"], "endpoint": url_of(scope)}
        name = app_action(scope["method"], scope["path"]) or masked_url(f"{scope['method']} {scope['path']}")
        recording: asyncio.Task[None] | None = None

        def record(*, broken: bool = False) -> None:
            nonlocal recording
            if recording is None:
                entry: dict[str, Any] = {
                    "action": name,
                    "input": {**asked, "status": status},
                    "success": status < HTTPStatus.BAD_REQUEST and not broken,
                    "observation": _phrase(status),
                }
                recording = asyncio.create_task(self._record(found, scope, entry))
                self._tasks.add(recording)
                recording.add_done_callback(self._tasks.discard)

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                record()  # now, not when the app returns: it may run background tasks

        try:
            await self.app(scope, receive, sent)
        except BaseException as error:
            record(broken=isinstance(error, Exception))
            raise
        record()
        if recording is not None:
            # so that a server without lifespan support waits for it, too
            await asyncio.shield(recording)

    async def _record(self, found: AgentRequest, scope: Scope, entry: dict[str, Any]) -> None:
        if not found.record:
            return
        try:
            named = self._action(scope) if callable(self._action) else self._action
            entry["action"] = found.action or named or entry["action"]
            if found.observation is not None:
                entry["observation"] = found.observation
            await found.manager.update_state_with_delta(found.session_id, found.delta, entry)
        except AwiError as error:
            log.error("action of %s was not recorded: %s", found.session_id, error, extra={"action": entry["action"]})
        except Exception:
            log.exception("action of %s was not recorded", found.session_id)

    async def _drain(self) -> None:
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=DRAIN_SECONDS)
            if left:
                log.error("%d actions were not recorded before the site stopped", len(left))
                for task in left:
                    task.cancel()
                await asyncio.wait(left)


def app_action(method: str, path: str) -> str | None:
    """The app's name for a request to `/…/posts`, `/…/posts/ID`, the same with comments, or `/…/search`; else None."""
    *_, parent, last = ("", "", *path.strip("/").split("/"))
    if last == "search":
        return "search"
    noun = next((one for one in (last, parent) if one in ("posts", "comments")), None)
    verb = {"POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete"}.get(method)
    if noun is None or (method not in ("GET", "HEAD") and verb is None):
        return None
    name = f"list_{noun}" if verb is None and noun == last else f"{verb or 'get'}_{noun.removesuffix('s')}"
    return name if name in APP_ACTIONS else None


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
