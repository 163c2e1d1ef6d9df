"""Where a list of sessions comes from: scans of the live sessions and of the archive, and what is on the page now."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

from ...agents.secret import mask_whole_secrets
from ...sessions.manager import StateManager
from ...sessions.selection import SelectedBatch, values_of
from ...sessions.where.fields import Place
from ...sessions.where.grammar import WhereExpression, parse, parse_field
from ...store.base import SessionVersion
from ...util.fingerprint_set import FingerprintSet
from .rows import EXPIRY_PRECISION_MS, Clean, Row

#: The number of all actions that there ever were.
_TOTAL = "total"


def now_ms() -> int:
    """The time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class SessionSource:
    """Reads the sessions of a list. Every method raises the errors of `awictl.errors`."""

    def __init__(self, manager: StateManager, rate: float | None = None, clean: Clean = mask_whole_secrets) -> None:
        """`rate`: maximum number of keys to scan per second. `clean`: as for `Row.of`."""
        self._manager = manager
        self._clean = clean
        self._rate = rate
        #: What the server of the live sessions is, for messages.
        self.name = manager.store.name
        #: Whether the scans of live sessions have a maximum rate.
        self.is_paced = rate is not None

    @property
    def has_archive(self) -> bool:
        """Whether there are archived sessions."""
        return self._manager.archive is not None

    async def keys(self) -> int | None:
        """Number of keys that a scan passes; None if not available."""
        return await self._manager.store.keyspace.size()

    async def live(self, where: str | None, seen: FingerprintSet) -> AsyncGenerator[tuple[int, list[Row]], None]:
        """How many live sessions were read, and those of them that match. `seen`: receives the ids of all."""
        found = self._manager.selection.find_live(_parsed(where), value=parse_field(_TOTAL), rate=self._rate, seen=seen)
        async with aclosing(found) as batches:
            async for batch in batches:
                yield batch.read, self._rows(batch)

    async def archived(self, where: str | None) -> AsyncGenerator[tuple[int, list[Row]], None]:
        """The same of the archive, with the sessions that are live."""
        found = self._manager.selection.find_archived(_parsed(where), value=parse_field(_TOTAL))
        async with aclosing(found) as batches:
            async for batch in batches:
                yield batch.read, self._rows(batch)

    async def changed(self, rows: Sequence[Row], known: dict[str, SessionVersion]) -> list[Row]:
        """Those of these live sessions that have changed, as they are now.

        `known`: their versions as far as they are known; updated.
        """
        found = await self._manager.store.versions([one.session_id for one in rows])
        now = now_ms()
        versions = {one.session_id: one for one in found.versions}
        changed: list[Row] = []
        for row in rows:
            version = versions.get(row.session_id)
            before = known.get(row.session_id)
            if version is None or not (
                version == before or (before is None and _fits(row, version, found.now_ms, now))
            ):
                changed.append(row)
        current = {row.session_id: row for row in await self._read([one.session_id for one in changed])}
        known |= versions
        return [current.get(row.session_id) or row.gone() for row in changed]

    def _rows(self, batch: SelectedBatch) -> list[Row]:
        now = now_ms()
        return [Row.of(summary, total, batch.place, now, self._clean) for summary, total in batch.sessions]

    async def _read(self, session_ids: Sequence[str]) -> list[Row]:
        if not session_ids:
            return []
        listed = await self._manager.store.list(session_ids)
        now = now_ms()
        sessions = map(values_of, listed)
        return [Row.of(one.summary, one.total, Place.LIVE, now, self._clean) for one in sessions]


def _parsed(where: str | None) -> WhereExpression | None:
    """The expression; parsed for each scan, because `2h ago` is then another time."""
    return parse(where) if where is not None else None


def _fits(row: Row, version: SessionVersion, server_now: int | None, now: int) -> bool:
    """Whether a row that a scan read is of this version."""
    if row.bytes != version.bytes:
        return False
    if row.expires is None or version.expires_ms is None or server_now is None:
        return row.expires is None and version.expires_ms is None
    return abs(row.expires - now - (version.expires_ms - server_now)) <= EXPIRY_PRECISION_MS


def live_rows(rows: Iterable[Row]) -> list[Row]:
    """Those rows that are of live sessions."""
    return [one for one in rows if one.place == Place.LIVE.value]
