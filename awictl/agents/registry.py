"""Agents and their API keys: who may call the HTTP server."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ..document.json_codec import encodable
from ..errors import InvalidInput, NotFound, Refused
from ..settings import Settings
from ..util.bounded_dict import BoundedDict
from .api_keys import AgentKey, KeyStore, Permission

#: Seconds for which a key counts as it was found, and for which an unknown secret counts as unknown.
CACHE_SECONDS = 60.0
MISS_SECONDS = 5.0
#: Secrets that are remembered.
CACHE_ENTRIES = 10_000
#: Longest secret that is looked up, longest name, and longest description, in characters.
MAX_SECRET = 256
MAX_NAME = 256
MAX_DESCRIPTION = 2_000
#: What looks like a secret, wherever it stands.
_SECRET = re.compile(r"agent_[0-9A-Fa-f]{8,}")
#: Latest moment at which a key can expire.
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Registered:
    """A new key, and its secret: this is the only time that it is told."""

    key: AgentKey
    secret: str


def without_secrets(text: str) -> str:
    """Text in which what looks like a secret is masked."""
    return _SECRET.sub("agent_********", text) if "agent_" in text else text


def digest_of(secret: str) -> str:
    """What is kept of a secret: its SHA-256, in hex."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class AgentRegistry:
    """The agents that have a key. It may be shared by many tasks."""

    def __init__(self, key_store: KeyStore, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._key_store = key_store
        self._settings = settings
        self._clock = clock
        #: By digest, the key and until when it counts.
        self._cache: BoundedDict[str, tuple[AgentKey | None, float]] = BoundedDict(CACHE_ENTRIES)

    @property
    def where(self) -> str:
        """For messages: where the keys are kept, without secrets."""
        return self._key_store.where

    async def register(
        self,
        name: str,
        *,
        permissions: Sequence[Permission] = (Permission.READ,),
        expires_in_ms: int | None = None,
        description: str | None = None,
    ) -> Registered:
        """Make a key for a new agent. Raises InvalidInput, and ReadOnly where nothing may be written."""
        self._settings.check_writable()
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable() or not name.strip():
            raise InvalidInput(f"the name of an agent is 1 to {MAX_NAME} printable characters")
        if description is not None and (len(description) > MAX_DESCRIPTION or description != encodable(description)):
            raise InvalidInput(f"the description of an agent is text of at most {MAX_DESCRIPTION:,} characters")
        granted = tuple(one for one in Permission if one in permissions)
        if not granted:
            raise InvalidInput(f"an agent needs a permission: {', '.join(Permission)}")
        now = datetime.now(UTC)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as both archives keep it
        key = AgentKey(
            agent_id=f"{int(now.timestamp()):08x}{secrets.token_hex(8)}",  # as MongoDB makes its ids
            name=name,
            permissions=granted,
            created_at=now,
            expires_at=_later(now, expires_in_ms) if expires_in_ms is not None else None,
            description=description,
        )
        secret = f"agent_{secrets.token_hex(16)}"
        await self._key_store.add(key, digest_of(secret))
        return Registered(key, secret)

    async def find(self, secret: str) -> AgentKey | None:
        """The key with this secret, whether it is good or not (`AgentKey.state`), as it was a minute ago at most."""
        if not 0 < len(secret) <= MAX_SECRET or not secret.isprintable():
            return None
        digest = digest_of(secret)
        known = self._cache.get(digest)
        now = self._clock()
        if known is not None and known[1] > now:
            return known[0]
        found = await self._key_store.find(secret, digest)
        self._cache[digest] = found, now + (CACHE_SECONDS if found is not None else MISS_SECONDS)
        return found

    async def all(self) -> list[AgentKey]:
        """All keys, the newest first; the app's are among them."""
        return await self._key_store.all()

    async def get(self, agent: str) -> AgentKey:
        """The key of an agent, by its id or its name. Raises NotFound, and Refused where several have that name."""
        known = await self._key_store.all()
        found = [key for key in known if key.agent_id == agent] or [key for key in known if key.name == agent]
        if not found:
            raise NotFound(f"there is no key of an agent {without_secrets(agent)!r:.80} in {self.where}")
        if len(found) > 1:
            ids = ", ".join(key.agent_id for key in found)
            raise Refused(f"{len(found)} agents have the name {agent!r:.80}: say which by its id ({ids})")
        return found[0]

    async def revoke(self, agent: str) -> AgentKey:
        """Make a key worthless, for servers within a minute. Raises NotFound, and Refused for one of the app's."""
        self._settings.check_writable()
        key = await self.get(agent)
        if key.of_app:
            raise Refused(f"{self.where}: the key of {key.name!r} is the app's, which is read-only: revoke it there")
        await self._key_store.revoke(key.agent_id)
        self._cache.clear()
        return replace(key, active=False)


def _later(now: datetime, milliseconds: int) -> datetime:
    if milliseconds <= 0:
        raise InvalidInput("a key expires after a while, not at once")
    try:
        return min(now + timedelta(milliseconds=milliseconds), _LATEST)
    except OverflowError:
        return _LATEST
