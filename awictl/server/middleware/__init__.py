"""The app's three middleware functions, for any ASGI site (Starlette, FastAPI, …).

    from awictl import Settings
    from awictl.server.middleware import EnrichResponse, LoadSession, RecordAction

    app = Starlette(routes=…, middleware=[
        Middleware(LoadSession, settings=Settings.load()),   # request.state.awi: the agent's session, or None
        Middleware(RecordAction),                            # after each response: an action in the trajectory
        Middleware(EnrichResponse),                          # JSON objects get `_sessionState`
    ])

A request without an agent's key goes on without a session, and so does every request while Redis is away.
"""

from .agent_request import Agent, AgentRequest, agent_request
from .enrich_response import EnrichResponse
from .load_session import LoadSession
from .record_action import RecordAction

__all__ = ["Agent", "AgentRequest", "EnrichResponse", "LoadSession", "RecordAction", "agent_request"]
