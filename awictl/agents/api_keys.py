"""API keys of agents: permissions, states, and the record of one key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from ..document.timestamps import optional_timestamp
from .secret import mask_whole_secrets


class Permission(StrEnum):
    """What an API key permits."""

    READ = "read"
    WRITE = "write"
    #: No route requires it. It is accepted and listed because keys of the app may have it.
    DELETE = "delete"


class KeyState(StrEnum):
    """Whether an API key is accepted, or why not."""

    ACTIVE = "active"
    REVOKED = "revoked"
    EXPIRED = "expired"
    SUSPENDED = "suspended"


@dataclass(frozen=True)
class AgentKey:
    """The API key of an agent, without its secret."""

    agent_id: str
    name: str
    permissions: tuple[Permission, ...]
    #: None if unknown.
    created_at: datetime | None
    #: None if it never expires.
    expires_at: datetime | None = None
    #: False if it was revoked.
    active: bool = True
    suspended: bool = False
    #: End of the suspension; None if it has no end.
    suspended_until: datetime | None = None
    suspension_reason: str | None = None
    description: str | None = None
    #: Maximum number of requests per operation and hour; None if the server's default applies.
    requests_per_hour: int | None = None
    #: Whether nobody has used it yet, and its expiry ends with its first use.
    provisional: bool = False
    #: Whether the app created it. Of such a key only the fields of a suspension and a revocation are written.
    of_app: bool = False
    #: The last request with the key that was recorded; None if unknown.
    last_used_at: datetime | None = None

    def state(self, now: datetime | None = None) -> KeyState:
        """Return the state of the key at a time; by default, at the current time."""
        now = now or datetime.now(UTC)
        if not self.active:
            return KeyState.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return KeyState.EXPIRED
        return KeyState.SUSPENDED if self.is_suspended(now) else KeyState.ACTIVE

    def is_suspended(self, now: datetime) -> bool:
        """Whether it is suspended at a time, whatever else it is."""
        return self.suspended and (self.suspended_until is None or self.suspended_until > now)

    def state_row(self) -> dict[str, Any]:
        """Return the state as JSON values, with the reason and the end of a suspension that is not over."""
        state = self.state()
        suspended = state is KeyState.SUSPENDED
        return {
            "state": state.value,
            "suspended_until": optional_timestamp(self.suspended_until) if suspended else None,
            "suspension_reason": _masked(self.suspension_reason) if suspended else None,
        }

    def row(self) -> dict[str, Any]:
        """Return the key as JSON values."""
        return {
            "agent_id": self.agent_id,
            "name": self.name,
            "permissions": list(self.permissions),
            **self.state_row(),
            "created_at": optional_timestamp(self.created_at),
            "expires_at": optional_timestamp(self.expires_at),
            "description": _masked(self.description),
            "requests_per_hour": self.requests_per_hour,
            "made_by": "app" if self.of_app else "awictl",
            "last_used_at": optional_timestamp(self.last_used_at),
        }


def _masked(text: str | None) -> str | None:
    return mask_whole_secrets(text) if text is not None else None


def permissions_of(stored: Any) -> tuple[Permission, ...]:
    """Return the known permissions in a stored list; none if it is not a list of strings."""
    found = set(stored) if isinstance(stored, list) and all(isinstance(one, str) for one in stored) else set()
    return tuple(one for one in Permission if one in found)


def newest_first(keys: list[AgentKey]) -> list[AgentKey]:
    """Sort keys by their creation, the newest first."""
    earliest = datetime.min.replace(tzinfo=UTC)
    return sorted(keys, key=lambda key: (key.created_at or earliest, key.agent_id), reverse=True)
