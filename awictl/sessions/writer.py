"""Write live sessions: create them, apply updates to them, extend their TTL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..document import byte_layout, keys
from ..document.json_codec import check_input
from ..document.schema import new_document
from ..document.timestamps import timestamp
from ..document.update import Update, apply_update, page_delta, pagination_delta
from ..document.validation import checked_object, checked_update
from ..errors import AwiError, InvalidInput, NotFound
from ..settings import Settings
from ..store.base import SessionStore
from .reader import SessionReader
from .update import Updated, Updater

if TYPE_CHECKING:
    from ..document.splice import Base


class Created(NamedTuple):
    """A new session."""

    document: dict[str, Any]
    #: The session that its agent was mapped to before, if any.
    previous: str | None
    #: Whether it is in MongoDB, because Redis is unreachable; it is put into Redis afterwards.
    degraded: bool = False


class SessionWriter:
    """Creates and updates sessions in a store. All methods raise ReadOnly if the settings say so."""

    def __init__(self, store: SessionStore, updater: Updater, reader: SessionReader, settings: Settings) -> None:
        self._store = store
        self._updater = updater
        self._reader = reader
        self._settings = settings

    async def create(
        self,
        agent_id: str,
        agent_name: str,
        route: str = "/",
        *,
        session_id: str | None = None,
        ttl_ms: int | None = None,
    ) -> Created:
        """Create a session and map its agent to it."""
        self._settings.check_writable()
        keys.check_ttl(ttl_ms)
        keys.check_agent_id(agent_id)
        session_id = keys.check_session_id(session_id or keys.new_session_id())
        texts = check_input([agent_name, route])
        if not all(isinstance(text, str) for text in texts):
            raise InvalidInput("the name of an agent and a route must be text")
        document = new_document(session_id, agent_id, texts[0], texts[1], timestamp())
        previous = await self._store.create(session_id, agent_id, byte_layout.encode(document), ttl_ms)
        return Created(document, previous)

    async def apply(
        self,
        session_id: str,
        delta: Mapping[str, Any],
        entry: Mapping[str, Any] | None = None,
        *,
        base: Base | None = None,
        fresh_op_id: str | None = None,
    ) -> Updated:
        """Merge a delta and record the action; see `StateManager.apply`."""
        update, given = checked_update(delta, entry, self._settings.max_delta_bytes, fresh_op_id)
        return await self._update(session_id, lambda _: update, update.op_id, given, base)

    async def preview(
        self, session_id: str, delta: Mapping[str, Any], entry: Mapping[str, Any] | None = None
    ) -> Updated:
        """What `apply` would do now; nothing is written. Raises NotFound."""
        update, _ = checked_update(delta, entry, self._settings.max_delta_bytes)
        base = await self._store.read_base(keys.check_session_id(session_id), full=True)
        if base is None:
            raise await self._reader.why_missing(session_id)
        change = apply_update(base, update, timestamp())
        return Updated(change.head, change.action, update.op_id, base.head)

    async def update_page_state(
        self,
        session_id: str,
        page: Mapping[str, Any],
        entry: Mapping[str, Any] | None = None,
        *,
        fresh_op_id: str | None = None,
    ) -> Updated:
        """Record the page that the agent now sees; see `StateManager.update_page_state`."""
        page = checked_object(page, "a page", self._settings.max_delta_bytes)
        entry = {"input": page, **(entry or {})}
        return await self.apply(session_id, page_delta(page), entry, fresh_op_id=fresh_op_id)

    async def update_pagination(
        self,
        session_id: str,
        pagination: Mapping[str, Any],
        entry: Mapping[str, Any] | None = None,
        *,
        fresh_op_id: str | None = None,
    ) -> Updated:
        """Move to another page of results; see `StateManager.update_pagination`."""
        limit = self._settings.max_delta_bytes
        pagination = checked_object(pagination, "a pagination", limit)
        entry = {"action": "paginate", "input": pagination, **(entry or {})}
        sample, given = checked_update({}, entry, limit, fresh_op_id)

        def build(head: dict[str, Any]) -> Update:
            return checked_update(pagination_delta(head, pagination), {**entry, "op_id": sample.op_id}, limit)[0]

        return await self._update(session_id, build, sample.op_id, given)

    async def touch(self, session_ids: Sequence[str], ttl_ms: int | None = None) -> list[bool | AwiError]:
        """Extend the TTL of sessions and of their agents' mappings.

        Returns for each session whether it exists, or the error that concerns only this one.
        """
        self._settings.check_writable()
        keys.check_ttl(ttl_ms)
        outcomes: dict[str, bool | AwiError] = {}
        for session_id in session_ids:
            try:
                keys.check_session_id(session_id)
            except InvalidInput as error:
                outcomes[session_id] = error
        valid = [one for one in session_ids if one not in outcomes]
        touched = await self._store.touch([(one, self._updater.agent_id(one)) for one in valid], ttl_ms)
        outcomes |= zip(valid, touched, strict=True)
        return [outcomes[session_id] for session_id in session_ids]

    async def _update(
        self,
        session_id: str,
        build: Callable[[dict[str, Any]], Update],
        op_id: str,
        given: bool,
        base: Base | None = None,
    ) -> Updated:
        self._settings.check_writable()
        try:
            return await self._updater.run(
                keys.check_session_id(session_id), build, op_id, look_for_op_id=given, base=base
            )
        except NotFound:
            raise await self._reader.why_missing(session_id) from None
