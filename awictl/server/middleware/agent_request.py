"""What a request of an agent carries through a site: its session, and what is to be recorded of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, Protocol

from ...sessions.manager import StateManager
from ..asgi import App, Scope

log = logging.getLogger("awictl.server")

#: Where a request's state holds the session: `request.state.awi`.
STATE_NAME = "awi"


class Agent(Protocol):
    """Who calls, as far as sessions go: an `AgentKey`, or what a site with its own authentication has."""

    @property
    def agent_id(self) -> str: ...

    @property
    def name(self) -> str: ...


@dataclass
class AgentRequest:
    """What `request.state.awi` holds: the calling agent's session, and what is to be recorded of this request."""

    manager: StateManager
    agent: Agent
    session_id: str
    #: The session document without its trajectory. Put a newer one here after an update of your own.
    head: dict[str, Any]
    #: What the action is called; the method and the path where it is not said.
    action: str | None = None
    #: What the agent was told, in a few words; the status where it is not said.
    observation: Any = None
    #: What the request changed in the session.
    delta: dict[str, Any] = field(default_factory=dict)
    #: Whether it is recorded at all.
    record: bool = True


def agent_request(scope: Scope) -> AgentRequest | None:
    """The calling agent's session, where `LoadSession` found one."""
    found: AgentRequest | None = scope.get("state", {}).get(STATE_NAME)
    return found


class WithSession:
    """A middleware that works on what `LoadSession` found; it has to be inside of it."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._told = False

    def found(self, scope: Scope) -> AgentRequest | None:
        if scope["type"] != "http":
            return None
        if STATE_NAME not in scope.get("state", {}) and not self._told:
            self._told = True
            log.error("%s does nothing: LoadSession is not around it", type(self).__name__)
        return agent_request(scope)
