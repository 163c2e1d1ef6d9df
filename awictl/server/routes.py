"""The routes of the API: which handler answers what, and what the OpenAPI document says about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any

from ..agents.api_keys import Permission
from . import handlers
from . import response_types as types
from .api_request import Handler
from .asgi import CAPABILITIES, LLM_TEXT, OPENAPI, QueryNumber
from .request_bodies import RegistrationRequest, UpdateRequest

SESSION = "/api/agent/session"
REGISTER = "/api/agent/register"


@dataclass(frozen=True)
class Route:
    """A method and a path, and how they are answered. `HEAD` is answered like `GET`, without the types."""

    method: str
    path: str
    handler: Handler
    #: Types of the response body by status, other than errors.
    responses: Mapping[int, type | UnionType]
    #: The permission that the API key must have; None: any key will do.
    permission: Permission | None = None
    #: Whether no API key is required.
    public: bool = False
    #: The operation that a request counts as for the rate limit.
    operation: str = ""
    #: Whether it may read or write a whole session or more, so that the agent's other such requests wait in turn.
    takes_slot: bool = False
    #: Statuses of errors besides `openapi.KEY_ERRORS`, which every route has that is not public.
    errors: tuple[int, ...] = ()
    query: tuple[QueryNumber, ...] = ()
    #: Type of the JSON request body, and an example of it.
    request: type | None = None
    example: Any = None
    #: Section of the OpenAPI document.
    tag: str = "session"


READ, WRITE = Permission.READ, Permission.WRITE
UPDATE_EXAMPLE = {"delta": {"page_state": {"pagination": {"cursor": 2}}}}
REGISTRATION_EXAMPLE = {"name": "BrowserUseAgent", "permissions": ["read", "write"]}

# fmt: off
ROUTES = (
    Route("GET", f"{SESSION}/state", handlers.get_state, {200: types.StateResponse}, READ, operation="state"),
    Route("POST", f"{SESSION}/state", handlers.update_state, {200: types.UpdateResponse}, WRITE, operation="update",
          takes_slot=True, errors=(400,), request=UpdateRequest, example=UPDATE_EXAMPLE),
    Route("GET", f"{SESSION}/diff", handlers.get_diff, {200: types.DiffResponse | types.NoDiffResponse}, READ,
          operation="diff"),
    Route("GET", f"{SESSION}/history", handlers.get_history, {200: types.HistoryResponse}, READ, operation="history",
          takes_slot=True, query=(handlers.LIMIT, handlers.OFFSET)),
    Route("GET", f"{SESSION}/cache", handlers.get_cache, {200: types.CacheResponse}, READ, operation="cache",
          takes_slot=True),
    # any key may end its session, as in the app
    Route("POST", f"{SESSION}/end", handlers.end_session, {200: types.EndResponse}, operation="end",
          takes_slot=True, errors=(400,)),
    Route("POST", REGISTER, handlers.register, {201: types.RegistrationResponse}, public=True,
          errors=(400, 403, 408, 413, 429, 503), request=RegistrationRequest, example=REGISTRATION_EXAMPLE,
          tag="agents"),
    Route("GET", "/api/health", handlers.get_health, {200: types.HealthResponse, 503: types.HealthResponse},
          public=True, tag="operation"),
    Route("GET", "/metrics", handlers.get_metrics, {200: str}, public=True, tag="operation"),
    Route("GET", OPENAPI, handlers.get_description, {200: dict}, public=True, tag="discovery"),
    Route("GET", CAPABILITIES, handlers.get_capabilities, {200: types.CapabilitiesResponse}, public=True,
          tag="discovery"),
    Route("GET", LLM_TEXT, handlers.get_llm_text, {200: str}, public=True, tag="discovery"),
)
# fmt: on
