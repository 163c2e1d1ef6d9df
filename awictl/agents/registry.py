"""Register agents, find their API keys, and revoke them."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ..archive.values import truncate_to_milliseconds
from ..document.json_codec import encodable
from ..document.keys import is_object_id
from ..errors import AwiError, InvalidInput, NotFound, Refused
from ..settings import Settings
from .api_keys import AgentKey, KeyState, Permission
from .key_cache import KeyCache
from .key_store import KeyStore
from .records import AgentRecord
from .secret import digest_of, mask_secrets, new_secret
from .suspension import later, new_suspension
from .usage import Usage, UsageCounter

log = logging.getLogger("awictl")

#: Maximum length of a secret that is looked up, of a name, and of a description, in characters.
MAX_SECRET = 256
MAX_NAME = 256
MAX_DESCRIPTION = 2_000
#: Maximum number of ids in a message.
_MOST_NAMED = 10


@dataclass(frozen=True)
class Registered:
    """A new key with its secret, which cannot be read again later."""

    key: AgentKey
    secret: str


class AgentRegistry:
    """The agents that have an API key. Lookups are cached. Safe to share between tasks."""

    def __init__(self, key_store: KeyStore, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._key_store = key_store
        self._settings = settings
        self._cache = KeyCache(self._look_up, self._usable, clock)
        self._usage = UsageCounter(key_store.add_usage)
        #: Writes in the background that record the first use of a key. Authentication does not wait for them.
        self._confirming: set[asyncio.Task[None]] = set()

    @property
    def where(self) -> str:
        """Where the keys are stored, for messages, without credentials."""
        return self._key_store.where

    async def register(
        self,
        name: str,
        *,
        permissions: Sequence[Permission] = (Permission.READ,),
        expires_in_ms: int | None = None,
        description: str | None = None,
        provisional: bool = False,
        unique: bool = False,
    ) -> Registered:
        """Create a key for a new agent. Raises InvalidInput, and ReadOnly if writing is disabled.

        `provisional`: the key expires only if nobody has used it by then; its first use removes the expiry. Provisional
        keys that have expired are deleted. `unique`: raise Refused if an agent of that name has a key that is not
        revoked. This is looked up before the key is created, so two registrations at the same moment may both succeed.
        """
        self._settings.check_writable()
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable() or not name.strip():
            raise InvalidInput(f"the name of an agent must have 1 to {MAX_NAME} printable characters")
        if description is not None and (len(description) > MAX_DESCRIPTION or description != encodable(description)):
            raise InvalidInput(f"the description of an agent must be text of at most {MAX_DESCRIPTION:,} characters")
        granted = tuple(one for one in Permission if one in permissions)
        if not granted:
            raise InvalidInput(f"an agent needs at least one permission: {', '.join(Permission)}")
        known = await self._key_store.named([name]) if unique else []
        if ids := [key.agent_id for key in known if key.name == name and key.active]:
            raise Refused(
                f"{self.where}: an agent {name!r:.80} exists already: {', '.join(ids[:_MOST_NAMED])}; "
                "choose another name, or pass --allow-duplicate"
            )
        now = truncate_to_milliseconds(datetime.now(UTC))
        key = AgentKey(
            agent_id=f"{int(now.timestamp()):08x}{secrets.token_hex(8)}",  # has the format of an ObjectId
            name=name,
            permissions=granted,
            created_at=now,
            expires_at=later(now, expires_in_ms, "a key expires") if expires_in_ms is not None else None,
            description=description,
            provisional=provisional,
        )
        secret = new_secret()
        await self._key_store.add(key, digest_of(secret))
        return Registered(key, secret)

    def cached(self, secret: str) -> AgentKey | None:
        """The key with this secret if it is cached and its state was checked seconds ago; otherwise None."""
        return self._cache.fresh(digest_of(secret)) if len(secret) <= MAX_SECRET else None

    def was_found(self, secret: str) -> bool:
        """Whether the cache has a key with this secret, however old."""
        return len(secret) <= MAX_SECRET and self._cache.was_found(digest_of(secret))

    async def find(self, secret: str) -> AgentKey | None:
        """Return the key with this secret, in any state (see `AgentKey.state`); None if there is none.

        The caller authenticates with it: this is the first use of a provisional key. A suspension or a
        revocation elsewhere is noticed within 5 seconds, other changes within `key_cache.CACHE_SECONDS`.
        """
        if not 0 < len(secret) <= MAX_SECRET or not secret.isprintable():
            return None
        return await self._cache.find(secret, digest_of(secret))

    async def _look_up(self, secret: str, digest: str) -> AgentKey | None:
        """The key as it is stored. At the first use of a provisional key, its expiry is removed in the background."""
        found = await self._key_store.find(secret, digest)
        if found is None or not found.provisional or self._settings.read_only:
            return found
        now = datetime.now(UTC)
        if found.state(now) is not KeyState.ACTIVE:
            return found
        task = asyncio.create_task(self._confirm(found.agent_id, now))
        self._confirming.add(task)
        task.add_done_callback(self._confirming.discard)
        return replace(found, provisional=False, expires_at=None)

    async def _confirm(self, agent_id: str, now: datetime) -> None:
        try:
            await self._key_store.confirm(agent_id, now)
        except AwiError as error:  # the next lookup confirms it
            log.warning("%s: the first use of the key of agent %s was not recorded: %s", self.where, agent_id, error)

    async def all(self) -> list[AgentKey]:
        """Return all keys, the newest first, those of the app included."""
        return await self._key_store.all()

    async def get(self, agent: str) -> AgentKey:
        """Return the key of an agent, by id or name. Raises NotFound, and Refused if several agents have that name."""
        [found] = await self.get_each([agent])
        if isinstance(found, AwiError):
            raise found
        return found

    async def get_each(self, agents: Sequence[str]) -> list[AgentKey | AwiError]:
        """Like `get` for several agents, with few queries; an error with only one is returned in its place."""
        known = await self._key_store.named([agent for agent in agents if agent == encodable(agent)])
        found: list[AgentKey | AwiError] = []
        for agent in agents:
            try:
                key = _named(known, agent)
                missing = f"{self.where} has no API key of an agent {mask_secrets(agent)!r:.80}"
                found.append(key if key is not None else NotFound(f"{missing}; `awictl agent list` lists them"))
            except Refused as error:
                found.append(error)
        return found

    async def id_of(self, agent: str) -> str | None:
        """Return the id of the agent with this id or name; None if there is none. Raises Refused like `get`."""
        found = _named(await self._key_store.named([agent]) if agent == encodable(agent) else [], agent)
        return found.agent_id if found is not None else None

    async def identify(self, agent: str) -> tuple[str, str | None]:
        """Return the id of an agent, and its name if it has a key. One whose key was deleted can be given by its id.

        Raises NotFound, and Refused if several agents have that name.
        """
        try:
            key = await self.get(agent)
        except NotFound:
            if not is_object_id(agent):
                raise
            return agent, None
        return key.agent_id, key.name

    async def suspend(self, agent: str | AgentKey, *, for_ms: int | None = None, reason: str | None = None) -> AgentKey:
        """Refuse the requests of an agent until it is resumed, or for `for_ms` milliseconds. Returns the changed key.

        This registry notices it at once, others within 5 seconds. Of a key that the app created, exactly the fields
        that the app's own methods set are changed. Raises InvalidInput, NotFound, Refused if the key is revoked, and
        ReadOnly if writing is disabled.
        """
        self._settings.check_writable()
        suspension = new_suspension(for_ms, reason)
        key = await self._changeable(agent, "suspend")
        await self._key_store.suspend(key, suspension)
        self._cache.forget(key.agent_id)
        return replace(key, suspended=True, suspended_until=suspension.until, suspension_reason=reason)

    async def resume(self, agent: str | AgentKey) -> AgentKey:
        """End the suspension of an agent, if it is suspended. Returns the changed key. Raises as `suspend` does."""
        self._settings.check_writable()
        key = await self._changeable(agent, "resume")
        if key.suspended:
            await self._key_store.resume(key)
            self._cache.forget(key.agent_id)
        return replace(key, suspended=False, suspended_until=None, suspension_reason=None)

    async def revoke(self, agent: str | AgentKey) -> AgentKey:
        """Revoke a key permanently. Returns the changed key.

        This registry notices it at once, others within 5 seconds. Raises NotFound, Refused if several agents have that
        name, and ReadOnly if writing is disabled.
        """
        self._settings.check_writable()
        key = await self.get(agent) if isinstance(agent, str) else agent
        await self._key_store.revoke(key)
        self._cache.forget(key.agent_id)
        return replace(key, active=False)

    async def records(self) -> list[AgentRecord]:
        """Return all that is known about all agents, the newest first."""
        return await self._key_store.records()

    async def record(self, agent: str) -> AgentRecord:
        """Return all that is known about an agent, by id or name. Raises NotFound, Refused like `get`."""
        key = await self.get(agent)
        return next(iter(await self._key_store.records(key)), AgentRecord(key, Usage()))

    def count(self, key: AgentKey, operation: str) -> None:
        """Count a request of an agent, in memory; it is written with others within seconds, unless writing is disabled.

        `operation`: one of few names without dots.
        """
        if not self._settings.read_only:
            self._usage.count(key.agent_id, operation, of_app=key.of_app)

    async def close(self) -> None:
        """End the work in the background, and write the counts of requests."""
        await self._cache.close()
        await self._usage.close()

    async def _changeable(self, agent: str | AgentKey, verb: str) -> AgentKey:
        """The key of an agent. Raises Refused if it is revoked."""
        key = await self.get(agent) if isinstance(agent, str) else agent
        self.check_not_revoked(key, verb)
        return key

    def check_not_revoked(self, key: AgentKey, verb: str) -> None:
        """Raise Refused if a key is revoked. `verb`: what cannot be done then, such as `suspend`."""
        if not key.active:
            raise Refused(
                f"{self.where}: the key of {key.name!r:.80} ({key.agent_id}) is revoked, which is permanent; "
                f"there is nothing to {verb}"
            )

    async def _usable(self, keys: Sequence[AgentKey]) -> set[str]:
        return await self._key_store.usable(keys, datetime.now(UTC))


def _named(known: Sequence[AgentKey], agent: str) -> AgentKey | None:
    """The key of an agent, by id or name; of several with one name the only one that is not revoked. Raises Refused."""
    found = [key for key in known if key.agent_id == agent] or [key for key in known if key.name == agent]
    if len(found) > 1:
        found = [key for key in found if key.active] or found
    if len(found) > 1:
        ids = ", ".join(key.agent_id for key in found[:_MOST_NAMED])
        raise Refused(f"{len(found)} agents have the name {agent!r:.80}; give the id instead: {ids}")
    return found[0] if found else None
