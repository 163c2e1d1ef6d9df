"""Authentication: finds the API key of a request, and checks its state and permission."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from ..agents.api_keys import AgentKey, KeyState, Permission
from ..agents.registry import AgentRegistry
from ..document.timestamps import timestamp
from .addresses import UnknownKeyLimit, client_address
from .asgi import Scope
from .problems import HTTPProblem

#: The header that the app's agents send; `Authorization: Bearer` is accepted too.
KEY_HEADER = b"x-agent-api-key"


def secret_of(headers: dict[bytes, bytes]) -> str | None:
    """The API key in the headers of a request; None if there is none."""
    secret = headers.get(KEY_HEADER)
    if secret is None:
        scheme, _, secret = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer":
            return None
    return secret.strip().decode("latin-1")


async def authenticate(
    headers: dict[bytes, bytes], agents: AgentRegistry, limit: UnknownKeyLimit, scope: Scope
) -> AgentKey:
    """The key of the calling agent, which may be suspended.

    Raises HTTPProblem: 401 without a valid key; 429 if the client's address has sent too many unknown keys, and this
    key would have to be looked up.
    """
    secret = secret_of(headers)
    if not secret:
        raise _unauthorized(
            "Agent API key is required",
            "Please provide an API key in the X-Agent-API-Key header or Authorization header",
        )
    key = agents.cached(secret) or await _look_up(secret, agents, limit, scope)
    if key is None:
        raise _unauthorized("Invalid API key", "The provided API key is not valid")
    if key.state(datetime.now(UTC)) in (KeyState.REVOKED, KeyState.EXPIRED):
        raise _unauthorized("API key inactive or expired", "The API key is no longer active or has expired")
    return key


def authorize(key: AgentKey, permission: Permission | None = None) -> None:
    """Check what an agent may do. Raises HTTPProblem: 403 if it is suspended, or its key lacks `permission`."""
    if key.suspended and key.state(datetime.now(UTC)) is KeyState.SUSPENDED:
        until = f" until {timestamp(key.suspended_until)}" if key.suspended_until else ""
        reason = f" Reason: {key.suspension_reason}" if key.suspension_reason else ""
        raise HTTPProblem(
            403, "Agent suspended", f"Your agent is suspended{until}.{reason}", error_code="AGENT_SUSPENDED"
        )
    if permission is not None and permission not in key.permissions:
        raise HTTPProblem(403, "Permission denied", f"This API key lacks the permission {permission.value}")


async def _look_up(secret: str, agents: AgentRegistry, limit: UnknownKeyLimit, scope: Scope) -> AgentKey | None:
    """Find a key that is not in the cache. A key that was found before is looked up in any case."""
    if agents.was_found(secret):
        return await agents.find(secret)
    address = client_address(scope)
    seconds = math.ceil(limit.begin(address))
    if seconds:
        raise HTTPProblem(
            429,
            "Too many unknown API keys",
            f"Too many requests with unknown API keys came from this address. Try again in {seconds:,} s.",
            headers={"retry-after": str(seconds)},
        )
    unknown = False
    try:
        key = await agents.find(secret)
        unknown = key is None
        return key
    finally:
        limit.end(address, unknown=unknown)


def _unauthorized(error: str, message: str) -> HTTPProblem:
    return HTTPProblem(401, error, message, headers={"www-authenticate": "Bearer"})
