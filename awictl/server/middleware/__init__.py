"""The app's three middleware functions for ASGI sites (Starlette, FastAPI, …).

    from awictl import Settings
    from awictl.server.middleware import EnrichResponse, LoadSession, RecordAction

    app = Starlette(routes=…, middleware=[
        Middleware(LoadSession, settings=Settings.load()),   # request.state.awi: the agent's session or None
        Middleware(RecordAction),                            # records each request in the trajectory
        Middleware(EnrichResponse),                          # adds `_sessionState` to JSON objects
    ])

A request without an agent's API key is served without a session, and so are all requests if Redis is unreachable.
"""

from .agent_request import Agent, AgentRequest, agent_request
from .enrich_response import EnrichResponse
from .load_session import LoadSession
from .record_action import RecordAction

__all__ = ["Agent", "AgentRequest", "EnrichResponse", "LoadSession", "RecordAction", "agent_request"]
