"""Authentication: finds the API key of a request, and checks its state and permission."""

from __future__ import annotations

from datetime import UTC, datetime

from ..agents.api_keys import AgentKey, KeyState, Permission
from ..agents.registry import AgentRegistry
from ..document.timestamps import timestamp
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


async def identify(
    headers: dict[bytes, bytes], agents: AgentRegistry, permission: Permission | None = None
) -> AgentKey:
    """The key of the calling agent.

    Raises HTTPProblem: 401 without a valid key; 403 if the agent is suspended, or if the key lacks `permission`.
    """
    secret = secret_of(headers)
    if not secret:
        raise _unauthorized(
            "Agent API key is required",
            "Please provide an API key in the X-Agent-API-Key header or Authorization header",
        )
    key = await agents.find(secret)
    if key is None:
        raise _unauthorized("Invalid API key", "The provided API key is not valid")
    match key.state(datetime.now(UTC)):
        case KeyState.SUSPENDED:
            until = f" until {timestamp(key.suspended_until)}" if key.suspended_until else ""
            reason = f" Reason: {key.suspension_reason}" if key.suspension_reason else ""
            raise HTTPProblem(
                403, "Agent suspended", f"Your agent is suspended{until}.{reason}", error_code="AGENT_SUSPENDED"
            )
        case KeyState.REVOKED | KeyState.EXPIRED:
            raise _unauthorized("API key inactive or expired", "The API key is no longer active or has expired")
    if permission is not None and permission not in key.permissions:
        raise HTTPProblem(403, "Permission denied", f"This API key lacks the permission {permission.value}")
    return key


def _unauthorized(error: str, message: str) -> HTTPProblem:
    return HTTPProblem(401, error, message, headers={"www-authenticate": "Bearer"})
