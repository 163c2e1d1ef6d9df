"""Authentication: finds the API key of a request, and checks its state and permission."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from ..agents.api_keys import AgentKey, KeyState, Permission
from ..agents.registry import AgentRegistry
from ..document.timestamps import optional_timestamp, timestamp
from .addresses import UnknownKeyLimit, client_address
from .asgi import Scope
from .problems import HTTPProblem

#: The header that the app's agents send, and the one that counts if it is missing or empty.
KEY_HEADER = b"x-agent-api-key"
AUTHORIZATION = b"authorization"


def secret_of(headers: dict[bytes, bytes]) -> str:
    """The API key in the headers of a request; empty if there is none.

    As in the app, `Authorization` contains the key with or without `Bearer`. Another scheme is not an API key.
    """
    secret = headers.get(KEY_HEADER, b"").strip()
    if not secret:
        words = headers.get(AUTHORIZATION, b"").split(None, 1)
        if words and words[0].lower() == b"bearer":
            secret = words[1].strip() if len(words) == 2 else b""
        elif len(words) == 1:
            secret = words[0]
    return secret.decode("latin-1")


async def authenticate(
    headers: dict[bytes, bytes], agents: AgentRegistry, limit: UnknownKeyLimit, scope: Scope
) -> AgentKey:
    """The key of the calling agent, which may be suspended.

    `headers`: those of `scope`, of which the last counts if a name is repeated. Raises HTTPProblem: 401 without a valid
    key, or with several; 429 if the client's address has sent too many unknown keys, and this key would have to be
    looked up.
    """
    if len(headers) != len(scope["headers"]) and _has_several_keys(scope):
        raise _unauthorized("Several API keys", "The request has several headers with different API keys; send one")
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
        problem = HTTPProblem(
            403, "Agent suspended", f"Your agent is suspended{until}.{reason}", error_code="AGENT_SUSPENDED"
        )
        problem.body["suspendedUntil"] = optional_timestamp(key.suspended_until)
        problem.body["suspensionReason"] = key.suspension_reason
        raise problem
    if permission is not None and permission not in key.permissions:
        raise HTTPProblem(403, "Permission denied", f"This API key lacks the permission {permission.value}")


def _has_several_keys(scope: Scope) -> bool:
    """Whether a header for the API key is repeated with another value: servers differ in which one counts."""
    found = {(name, value) for name, value in scope["headers"] if name in (KEY_HEADER, AUTHORIZATION)}
    return len({name for name, _ in found}) < len(found)


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
