"""Read pages of a trajectory, newest action first: only the lines and the parts that have them."""

from __future__ import annotations

from typing import Any

from ...document.json_codec import loads
from ...document.splice import base_from_string
from ...errors import InvalidData, TooLarge
from ..base import HistoryPage
from .contents import EXISTS, Contents, PartMissing
from .documents import Document, Part, count_of, lines_of, of_type, parts_of

#: How often a session is read that is written to meanwhile.
_ATTEMPTS = 10
_FIELDS = {**EXISTS, **dict.fromkeys(("parts", "count", "inline", "inline_bytes", "length"), 1)}


class HistoryPages:
    """Pages of trajectories."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    async def page(self, session_id: str, limit: int, offset: int, most: int | None) -> HistoryPage | None:
        """Read `limit` actions after skipping the newest `offset`; None if the session does not exist.

        One request if the session's document has them; another one for those in parts. Raises TooLarge if more than
        `most` bytes would have to be read.
        """
        wanted = offset + limit
        # a slice of 0 elements is not allowed
        fields: Document = {**_FIELDS, "lines": {"$slice": -max(wanted, 1)}}
        for _ in range(_ATTEMPTS):
            found = await self._contents.find(session_id, fields)
            if found is None:
                return None
            try:
                if count_of(found) is None:
                    return await self._of_whole(session_id, limit, offset, most)
                return await self._of_lines(session_id, found, limit, offset, most)
            except PartMissing:
                continue  # trimmed or deleted meanwhile
            except InvalidData as error:
                raise self._contents.invalid(session_id, error) from None
        raise self._contents.missing_part(session_id)

    async def _of_lines(
        self, session_id: str, found: Document, limit: int, offset: int, most: int | None
    ) -> HistoryPage:
        total, inline = count_of(found) or 0, of_type(found, "inline", int)
        lines, parts = lines_of(found), parts_of(found)
        needed = _needed(parts, offset + limit - inline)
        size = sum(map(len, lines)) + sum(part.bytes for part in needed)
        if most is not None and size > most:
            raise TooLarge(
                f"{self._contents.location(session_id)}: more than {most:,} of its {found.get('length'):,} bytes would "
                "have to be read"
            )
        older: list[bytes] = []
        for part, data in zip(needed, await self._contents.data_of(needed), strict=True):
            of_part = data.split(b",\n")
            if len(of_part) != part.actions:
                raise InvalidData(f"its part {part.id} has {len(of_part):,} actions instead of {part.actions:,}")
            older += of_part
        newest = [*older, *lines][::-1][offset : offset + limit]
        return HistoryPage([loads(line) for line in newest], total, limit, offset)

    async def _of_whole(self, session_id: str, limit: int, offset: int, most: int | None) -> HistoryPage | None:
        """A page of a string that does not have the layout."""
        whole = await self._contents.whole(session_id)
        if whole is None:
            return None
        if most is not None and len(whole.raw) > most:
            raise TooLarge(
                f"{self._contents.location(session_id)}: more than {most:,} of its {len(whole.raw):,} bytes would have "
                "to be read"
            )
        actions: list[Any] = base_from_string(whole.raw).document["history"]["actions"]
        return HistoryPage(actions[::-1][offset : offset + limit], len(actions), limit, offset)


def _needed(parts: list[Part], actions: int) -> list[Part]:
    """The newest parts that together have this number of actions, or all of them."""
    needed: list[Part] = []
    for part in reversed(parts):
        if actions <= 0:
            break
        needed.append(part)
        actions -= part.actions
    return needed[::-1]
