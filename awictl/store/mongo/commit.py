"""Write an update of a session if the session has not changed since it was read (compare-and-set).

The usual update is one request: it replaces the head and appends one line, on the condition that the revision is still
that of the base, and that nothing more has to be done. If nothing met the condition, one read of the session decides
why. What has to be done before the write, such as moving older lines to a part, is done then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ...document import keys
from ...document.byte_layout import CLOSE, encode_action
from ...document.schema import has_ended
from ...document.splice import FOLLOWING_BYTES, Base
from ...errors import AwiError, InvalidData, TooLarge
from ..base import CommitOutcome
from .contents import EXISTS, Contents, is_live, parts_until
from .database import LiveDatabase
from .documents import (
    FOREVER,
    MAX_HEAD_BYTES,
    MAX_LINE_BYTES,
    MAX_LINES,
    MAX_LINES_BYTES,
    Document,
    NewPart,
    Part,
    expiry_of,
    lines_of,
    live_at,
    of_type,
    op_ids_of,
    parts_of,
    seal,
    size_of,
    stored_parts,
    without_first,
)
from .mapping import Mappings

if TYPE_CHECKING:
    from ...document.update import Change

log = logging.getLogger("awictl")

#: Projection of what decides why an update was not written.
_REASON = {**EXISTS, "revision": 1, "op_ids": 1, "parts": {"$slice": 1}}
#: Projection of what a write that is not the usual one has to know.
_TRAJECTORY = {**EXISTS, **dict.fromkeys(("revision", "lines", "parts", "parts_until", "count"), 1)}


class Commits:
    """Writes updates. `ttl_ms`: TTL of a session that is updated; None: it never expires. `marks`: see `MongoStore`."""

    def __init__(
        self,
        database: LiveDatabase,
        contents: Contents,
        mappings: Mappings,
        ttl_ms: int | None,
        max_bytes: int,
        marks: Mapping[str, Any],
    ) -> None:
        self._database = database
        self._contents = contents
        self._mappings = mappings
        self._ttl = None if ttl_ms is None else timedelta(milliseconds=ttl_ms)
        self._max_bytes = max_bytes
        self._marks = dict(marks)

    async def run(
        self, session_id: str, agent_id: str, base: Base, change: Change, *, look_for_op_id: bool
    ) -> CommitOutcome:
        """See `SessionStore.commit`."""
        now = await self._database.now()
        expires_at = None if change.persist or self._ttl is None else now + self._ttl
        write = _Write(session_id, base, change, now, expires_at, self._marks)
        self._check_sizes(write, change)
        if look_for_op_id and await self._in_parts(session_id, write.op_id):
            return CommitOutcome.APPLIED
        mapping = asyncio.ensure_future(self._extend_mapping(agent_id, write, change.persist))
        try:
            outcome = await self._commit(write)
        except BaseException:
            mapping.cancel()
            raise
        await mapping
        return outcome

    async def _commit(self, write: _Write) -> CommitOutcome:
        if write.appends and await self._update(write, *write.appended()):
            return CommitOutcome.OK
        try:
            reason = await self._why_not(write)
            return await self._rewrite(write) if reason is None else reason
        except InvalidData as error:
            raise self._contents.invalid(write.session_id, error) from None

    async def _update(self, write: _Write, condition: Document, change: Document) -> bool:
        """Send the update. Returns whether the session met the condition."""
        done = f"the update of {write.session_id} with op_id {write.op_id} was applied"
        with self._database.write_once(done, f"retry it with op_id {write.op_id}", write.op_id):
            result = await self._database.sessions.update_one(condition, change)
        return result.matched_count == 1

    async def _find(self, write: _Write, fields: Document) -> Document | None:
        with self._database.request():
            return await self._database.sessions.find_one({"_id": write.session_id}, fields)

    async def _why_not(self, write: _Write) -> CommitOutcome | None:
        """Why an update cannot be written; None if it can, with more than the usual write."""
        found = await self._find(write, _REASON)
        if found is None or not is_live(found, write.now):
            return CommitOutcome.GONE
        # also if that was not asked for: the driver may have repeated the write after a lost reply
        if write.op_id in of_type(found, "op_ids", list):
            return CommitOutcome.APPLIED
        if of_type(found, "revision", int) != write.base.revision:
            applied = bool(found.get("parts")) and await self._in_parts(write.session_id, write.op_id)
            return CommitOutcome.APPLIED if applied else CommitOutcome.CONFLICT
        if write.needs_ttl and expiry_of(found) is None:
            return CommitOutcome.ENDED
        return None

    async def _in_parts(self, session_id: str, op_id: str) -> bool:
        """Whether an action with this op_id is in a part of the session."""
        with self._database.request():
            cursor = self._database.parts.find({"session": session_id, "op_ids": op_id}, {"_id": 1})
            ids = [one["_id"] async for one in cursor]
            if not ids:
                return False
            # a part is no part of the session before its document says so
            condition = {"_id": session_id, "parts.id": {"$in": ids}}
            found = await self._database.sessions.find_one(condition, EXISTS)
        return found is not None and is_live(found, await self._database.now())

    async def _rewrite(self, write: _Write) -> CommitOutcome:
        """Write the whole list of lines and parts, some of which may be new."""
        base = write.base
        found = await self._find(write, _TRAJECTORY)
        if found is None or of_type(found, "revision", int) != base.revision:
            return CommitOutcome.CONFLICT  # the next attempt finds out more
        before, lines = parts_of(found), lines_of(found)
        if base.spliceable:
            total = sum(part.actions for part in before) + len(lines)
            if total != of_type(found, "count", int):
                raise InvalidData(f"it has {total:,} actions instead of {found['count']:,}")
            kept, lines = without_first(before, lines, write.dropped, base.lines or ())
        else:
            kept, lines = [], write.all_lines[:-1]
        lines.append(write.line)
        new, lines = seal(write.session_id, base.revision, lines)
        until = of_type(found, "parts_until", datetime) if kept else parts_until(write.expires_at)
        if until < (write.expires_at or FOREVER):
            until = parts_until(write.expires_at)
            await self._contents.extend_parts([write.session_id], until)
        await self._contents.insert_parts(write.session_id, new, until)
        condition, change = write.rewritten([*kept, *(one.part for one in new)], lines, until)
        if not await self._update(write, condition, change):
            return await self._not_rewritten(write, new)
        ids = {part.id for part in kept}
        await self._discard([part for part in before if part.id not in ids])
        return CommitOutcome.OK

    async def _not_rewritten(self, write: _Write, new: Sequence[NewPart]) -> CommitOutcome:
        """Why a session that could have been written to, could not: another writer was faster."""
        reason = await self._why_not(write) or CommitOutcome.CONFLICT
        found = await self._find(write, {"revision": 1, "parts": 1})
        if found is None or of_type(found, "revision", int) != write.base.revision:  # else it may still be written
            ids = {part.id for part in parts_of(found)} if found is not None else set()
            await self._discard([one.part for one in new if one.part.id not in ids])
        return reason

    async def _discard(self, parts: Sequence[Part]) -> None:
        """Delete parts to which no session refers. Otherwise they expire."""
        if parts:
            try:
                await self._contents.delete_parts(parts)
            except AwiError as error:
                log.warning("%s: parts that are not used any more were not deleted: %s", self._database.where, error)

    async def _extend_mapping(self, agent_id: str, write: _Write, persist: bool) -> None:
        """Extend the TTL of the agent's mapping, at the same time: it is derived, and harmless after a conflict."""
        if persist or not agent_id or self._ttl is None:  # without a TTL, mappings have none either
            return
        try:
            await self._mappings.extend([(agent_id, write.session_id)], write.expires_at)
        except AwiError as error:
            log.warning("%s: updated, but not the mapping: %s", self._contents.location(write.session_id), error)

    def _check_sizes(self, write: _Write, change: Change) -> None:
        """Raise TooLarge if the session, or what has to fit into one document, would be too large."""
        length, head, line = change.splice.length, write.head_bytes, max(map(len, write.all_lines))
        for what, size, limit, reason in (
            ("it", length, self._max_bytes, "the limit"),
            ("its head and its last delta", head, MAX_HEAD_BYTES, "MongoDB's limit"),
            ("an action", line, MAX_LINE_BYTES, "MongoDB's limit"),
        ):
            if size > limit:
                setting = " (AWI_MAX_DOCUMENT_BYTES)" if what == "it" else ""
                raise TooLarge(
                    f"{self._contents.location(write.session_id)}: with this update {what} would have {size:,} bytes, "
                    f"more than {reason} of {limit:,}{setting}. Nothing was written"
                )


class _Write:
    """An update, as it is written to a session's document."""

    def __init__(
        self,
        session_id: str,
        base: Base,
        change: Change,
        now: datetime,
        expires_at: datetime | None,
        marks: Mapping[str, Any],
    ) -> None:
        self.session_id = session_id
        self.base = base
        self.now = now
        #: The new expiry of the session.
        self.expires_at = expires_at
        self.op_id: str = change.action["op_id"]
        #: Whether the session must have a TTL: without one, it has ended and waits to be archived.
        self.needs_ttl = has_ended(base.document) and not change.ends
        self._splice = change.splice
        body = self._splice.tail.removesuffix(CLOSE).removeprefix(b",\n")
        #: The lines that follow what is kept of the stored string: one, or all of them if it did not have the layout.
        self.all_lines = body.split(b",\n")
        self.line = self.all_lines[-1]
        #: How many of the oldest actions are dropped.
        self.dropped = _dropped(base, self._splice.keep_from, self._splice.keep_to)
        self.appends = base.spliceable and not self.dropped
        self.head_bytes = len(self._splice.head) + len(change.diff)
        self._set: Document = {
            "head": self._splice.head,
            **self._following(),
            "length": self._splice.length,
            "expires_at": expires_at,
            "diff": change.diff,
            "diff_expires_at": now + timedelta(seconds=keys.DIFF_TTL_SECONDS),
            **marks,
        }

    def _following(self) -> Document:
        """The new value of `following`, if it changes."""
        base, kept = self.base, self._splice.keep_to - self._splice.keep_from
        if self.dropped and kept:
            first = encode_action(base.document["history"]["actions"][self.dropped])
        elif kept >= FOLLOWING_BYTES or len(base.following) < kept:
            return {}
        else:
            first = base.following[:kept] + self._splice.tail
        return {"following": first[:FOLLOWING_BYTES]}

    def _condition(self) -> Document:
        return {
            "_id": self.session_id,
            "revision": self.base.revision,
            "taken": {"$ne": True},
            **({"expires_at": {"$gt": self.now}} if self.needs_ttl else live_at(self.now)),
        }

    def appended(self) -> tuple[Document, Document]:
        """The condition and the change of the usual update."""
        size = size_of([self.line])
        condition = {
            **self._condition(),
            "op_ids": {"$ne": self.op_id},
            "inline": {"$lt": MAX_LINES},
            "inline_bytes": {"$lte": MAX_LINES_BYTES - size},
            "parts_until": {"$gte": self.expires_at or FOREVER},
        }
        return condition, {
            "$set": self._set,
            "$inc": {"revision": 1, "count": 1, "inline": 1, "inline_bytes": size},
            "$push": {"lines": self.line, "op_ids": {"$each": op_ids_of([self.line])}},
        }

    def rewritten(self, parts: Sequence[Part], lines: Sequence[bytes], until: datetime) -> tuple[Document, Document]:
        """The condition and the change of an update that writes the whole list of lines and parts."""
        change = {
            **self._set,
            "parts": stored_parts(parts),
            "lines": list(lines),
            "op_ids": op_ids_of(lines),
            "count": sum(part.actions for part in parts) + len(lines),
            "inline": len(lines),
            "inline_bytes": size_of(lines),
            "parts_until": until if parts else FOREVER,
        }
        return self._condition(), {"$set": change, "$inc": {"revision": 1}}


def _dropped(base: Base, keep_from: int, keep_to: int) -> int:
    """How many of the oldest actions of a base an update drops that keeps this range of its string."""
    if not base.spliceable or not base.lines or keep_from == len(base.prefix):
        return 0
    return base.lines.index(keep_from) if keep_to > keep_from else len(base.lines)
