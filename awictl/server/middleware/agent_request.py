"""The session of a request in a site, and how the request is recorded."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, Protocol

from ...sessions.manager import StateManager
from ..asgi import App, Scope

log = logging.getLogger("awictl.server")

#: Name of the session in the state of a request: `request.state.awi`.
STATE_NAME = "awi"


class Agent(Protocol):
    """The calling agent: an `AgentKey`, or an object of a site with its own authentication."""

    @property
    def agent_id(self) -> str:
        """The id that its session is found by."""

    @property
    def name(self) -> str:
        """The name that a new session gets."""


@dataclass
class AgentRequest:
    """The value of `request.state.awi`. A handler sets its fields to change how its request is recorded."""

    manager: StateManager
    agent: Agent
    session_id: str
    #: The session document without its trajectory. A handler that updates the session stores the new head here.
    head: dict[str, Any]
    #: Name of the recorded action; None: the method and path.
    action: str | None = None
    #: The recorded observation; None: the status of the response.
    observation: Any = None
    #: Delta that is merged into the session when the action is recorded.
    delta: dict[str, Any] = field(default_factory=dict)
    #: Whether the request is recorded.
    record: bool = True
    #: Whether the session is what MongoDB has, because Redis is unreachable.
    degraded: bool = False


def agent_request(scope: Scope) -> AgentRequest | None:
    """The session that `LoadSession` found for a request; None if it has none."""
    found: AgentRequest | None = scope.get("state", {}).get(STATE_NAME)
    return found


class WithSession:
    """Base of the middleware that must be inside `LoadSession`."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._warned = False

    def found(self, scope: Scope) -> AgentRequest | None:
        """The session of a request; None if it has none. Logs an error once if `LoadSession` is missing."""
        if scope["type"] != "http":
            return None
        if STATE_NAME not in scope.get("state", {}) and not self._warned:
            self._warned = True
            log.error("%s has no effect: it is not inside LoadSession", type(self).__name__)
        return agent_request(scope)
