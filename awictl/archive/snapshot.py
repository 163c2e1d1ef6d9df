"""A session as it is archived: its stored bytes, and the metadata that an archive keeps beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from ..document.action_keys import digest_of_actions
from ..document.action_numbers import actions_of, first_ordinal, next_t_of
from ..document.byte_layout import decode
from ..document.json_codec import dumps
from ..document.schema import SESSION_END, as_array, as_object, as_text, has_ended
from ..document.timestamps import EPOCH
from ..errors import AwiError, InvalidData
from .chunks import Chunk
from .compression import digest_of
from .trajectory import ActionCount, count_actions, with_chunks
from .values import as_count, as_short_text, parse_datetime, truncate_to_milliseconds


class Revision(NamedTuple):
    """The progress of a session: three numbers that grow with each update.

    None of them is reliable alone: a delta may overwrite `statistics`; the app's `t` sticks at 100, and falls back to
    100 in a session that awictl wrote before; the clocks of two writers differ. So the majority of the three decides.
    """

    #: `statistics.total_actions`.
    total_actions: int
    #: The `t` of the next action.
    next_t: int
    #: `last_updated` in milliseconds since 1970; 0 if it is not a timestamp.
    updated_ms: int

    def compared_to(self, other: Revision) -> int:
        """Return a number above 0 if this one is newer, below 0 if it is older, and 0 if that is undecided."""
        return sum((mine > its) - (mine < its) for mine, its in zip(self, other, strict=True))


@dataclass(frozen=True)
class Snapshot:
    """A session as it was read from the store. Text properties are shortened to `values.MAX_TEXT` characters."""

    session_id: str
    #: The stored bytes: they are archived, and restored, unchanged.
    raw: bytes
    #: The decoded document.
    document: dict[str, Any]
    #: The document with those actions that it lacks and the archive has.
    full_document: dict[str, Any]
    #: SHA-256 of `raw`, in hex.
    digest: str
    revision: Revision
    #: The ordinal of its first action by its own numbers; see `action_numbers.first_ordinal`.
    first_ordinal: int
    #: When it would have expired; None if it had no TTL.
    expires_at: datetime | None
    #: Identity of the server that it was read from (`SessionStore.identity`); empty if unknown.
    server: str = ""
    #: Digest of a version that the archive had before this was read from Redis: so this is newer than that.
    newer_than: str = ""
    #: Of a session that was imported: ordinals before which an unknown number of actions is missing, and the number of
    #: actions that were overwritten where it is from.
    unknown_gaps: tuple[int, ...] = ()
    overwritten: int = 0

    @classmethod
    def parse(
        cls,
        session_id: str,
        raw: bytes,
        expires_at: datetime | None = None,
        server: str = "",
        newer_than: str = "",
    ) -> Snapshot:
        """Decode stored bytes. Raises InvalidData if they are not the document of this session."""
        document = decode(raw)
        first = first_ordinal(document)
        next_t = next_t_of(document, first)
        if document.get("session_id", session_id) != session_id:
            raise InvalidData(f"the stored document is of session {document['session_id']!r:.80}")
        updated = parse_datetime(document.get("last_updated"))
        return cls(
            session_id,
            raw,
            document,
            document,
            digest_of(raw),
            Revision(
                as_count(as_object(document.get("statistics")).get("total_actions")),
                next_t,
                (updated - EPOCH) // timedelta(milliseconds=1) if updated else 0,
            ),
            first,
            truncate_to_milliseconds(expires_at) if expires_at is not None else None,
            server,
            newer_than,
        )

    @classmethod
    def parse_archived(cls, session_id: str, raw: bytes | AwiError | None) -> Snapshot | None:
        """Decode archived bytes; None if there are none, or they are damaged, or an error is given in their place."""
        try:
            return cls.parse(session_id, raw) if isinstance(raw, bytes) else None
        except AwiError:
            return None

    def with_chunks(self, chunks: Iterable[Chunk], first: int | None = None) -> Snapshot:
        """Return the snapshot with the actions in chunks put back into its `full_document`.

        first: ordinal of its first action; by its own numbers if it is None.
        """
        first = self.first_ordinal if first is None else first
        return replace(self, full_document=with_chunks(self.document, first, chunks))

    @property
    def length(self) -> int:
        """Number of actions in the session's whole trajectory, by its own numbers."""
        return self.first_ordinal + len(actions_of(self.document) or ())

    @cached_property
    def trajectory_digest(self) -> str:
        """A digest of the actions in `document`; see `action_keys.digest_of_actions`."""
        return digest_of_actions(actions_of(self.document) or ())

    @property
    def agent_id(self) -> str | None:
        """The agent's id; None if it is not a string."""
        return as_short_text(self.document.get("agent_id"))

    @property
    def mapped_agent_id(self) -> str | None:
        """The agent's whole id, for the key of its mapping; None if it is not a string."""
        return as_text(self.document.get("agent_id"))

    @property
    def agent_name(self) -> str | None:
        """The agent's name; None if it is not a string."""
        return as_short_text(self.document.get("agent_name"))

    @property
    def route(self) -> str | None:
        """The route of the page; None if it is not a string."""
        return as_short_text(as_object(self.document.get("page_state")).get("route"))

    @property
    def started_at(self) -> datetime | None:
        """When the session started, by its statistics or else by its first action; None if neither says so."""
        return parse_datetime(self.statistics.get("session_start")) or _time_of(self.actions[:1])

    @property
    def last_activity_at(self) -> datetime | None:
        """When the agent was last active; None if the document does not say so."""
        return parse_datetime(self.statistics.get("last_activity")) or parse_datetime(self.document.get("last_updated"))

    @property
    def ended_at(self) -> datetime | None:
        """When the session ended; None if it has not ended."""
        return _time_of(self.actions[-1:]) or self.last_activity_at if self.ended else None

    @cached_property
    def ended(self) -> bool:
        """Whether the end was recorded, and no action since."""
        last = as_object(self.actions[-1]) if self.actions else {}
        return has_ended(self.document) and last.get("action") == SESSION_END

    @cached_property
    def last_action_digest(self) -> str:
        """A digest of the last action; empty if there is none."""
        return _action_digest(self.actions[-1]) if self.actions else ""

    @property
    def statistics(self) -> dict[str, Any]:
        """The document's `statistics`; empty if they are not an object."""
        return as_object(self.document.get("statistics"))

    def count(self, name: str) -> int:
        """Return one of the counts in `statistics`; 0 if it is not a count."""
        return as_count(self.statistics.get(name))

    @cached_property
    def actions(self) -> list[Any]:
        """The trajectory of `full_document`, oldest action first."""
        return as_array(as_object(self.full_document.get("history")).get("actions"))

    @cached_property
    def action_counts(self) -> Mapping[str, ActionCount]:
        """How often each action was taken, by name."""
        return count_actions(self.actions)

    def has_action(self, digest: str) -> bool:
        """Whether its trajectory has an action with this digest (see `last_action_digest`)."""
        return digest in map(_action_digest, self.actions)


def _action_digest(action: Any) -> str:
    return digest_of(dumps(action))[:32]


def _time_of(actions: list[Any]) -> datetime | None:
    return parse_datetime(as_object(actions[0]).get("timestamp")) if actions else None
