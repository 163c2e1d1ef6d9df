"""The keys of agents, which are kept beside the archive: what a key_store is, and what one key says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from ..document.timestamps import optional_timestamp


class Permission(StrEnum):
    """What a key allows its agent."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"


class KeyState(StrEnum):
    """Whether a key is good."""

    ACTIVE = "active"
    REVOKED = "revoked"
    EXPIRED = "expired"
    SUSPENDED = "suspended"


@dataclass(frozen=True)
class AgentKey:
    """The key of an agent, without its secret."""

    agent_id: str
    name: str
    permissions: tuple[Permission, ...]
    created_at: datetime | None
    expires_at: datetime | None = None
    active: bool = True
    suspended: bool = False
    #: Until when it is suspended; None: for good.
    suspended_until: datetime | None = None
    suspension_reason: str | None = None
    description: str | None = None
    #: Requests that the agent may make for one operation in an hour; None: as many as any.
    requests_per_hour: int | None = None
    #: Whether the app made it: then it is never written here.
    of_app: bool = False

    def state(self, now: datetime | None = None) -> KeyState:
        """Whether the key is good at a moment; now, unless told otherwise."""
        now = now or datetime.now(UTC)
        if not self.active:
            return KeyState.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return KeyState.EXPIRED
        if self.suspended and (self.suspended_until is None or self.suspended_until > now):
            return KeyState.SUSPENDED
        return KeyState.ACTIVE

    def row(self) -> dict[str, Any]:
        """The key as plain data."""
        return {
            "agent_id": self.agent_id,
            "name": self.name,
            "permissions": list(self.permissions),
            "state": self.state().value,
            "created_at": optional_timestamp(self.created_at),
            "expires_at": optional_timestamp(self.expires_at),
            "description": self.description,
            "requests_per_hour": self.requests_per_hour,
            "made_by": "app" if self.of_app else "awictl",
        }


class KeyStore(Protocol):
    """Where keys are kept. Every method raises the errors of `awictl.errors`."""

    #: For messages: which archive this is, without secrets.
    where: str

    async def add(self, key: AgentKey, digest: str) -> None:
        """Keep a new key. `digest`: the SHA-256 of its secret, in hex."""

    async def find(self, secret: str, digest: str) -> AgentKey | None:
        """The key with this secret, whether good or not: one of ours by its digest, else one of the app's."""

    async def all(self) -> list[AgentKey]:
        """All keys, the newest first."""

    async def revoke(self, agent_id: str) -> bool:
        """Revoke one of our keys. Returns whether there is such a key."""


def permissions_of(values: Any) -> tuple[Permission, ...]:
    """The permissions in a stored list, in their order; what is none is left out."""
    found = set(values) if isinstance(values, list) and all(isinstance(one, str) for one in values) else set()
    return tuple(one for one in Permission if one in found)


def newest_first(keys: list[AgentKey]) -> list[AgentKey]:
    """Keys by their creation."""
    earliest = datetime.min.replace(tzinfo=UTC)
    return sorted(keys, key=lambda key: (key.created_at or earliest, key.agent_id), reverse=True)
