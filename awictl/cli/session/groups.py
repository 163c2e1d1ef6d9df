"""Count sessions by the value of a field, for `session list --group-by`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from enum import Enum
from typing import Any

from ...document.json_codec import dumps
from ...document.timestamps import timestamp
from ...errors import Refused

#: Maximum number of different values: all of them are kept in memory.
MOST_VALUES = 100_000
#: Maximum size of all of them together, in bytes of JSON.
MOST_BYTES = 67_108_864


async def by_count(values: AsyncIterator[Sequence[Any]]) -> list[dict[str, Any]]:
    """Count equal values. Returns rows of a value as JSON and a number, the largest first.

    Raises Refused if there are more than MOST_VALUES, or more than MOST_BYTES of them.
    """
    size = 0
    groups: dict[bytes, dict[str, Any]] = {}
    async for batch in values:
        for one in batch:
            value = _json(one)
            key = dumps(value)
            if (group := groups.get(key)) is None:
                size += len(key)
                if len(groups) == MOST_VALUES or size > MOST_BYTES:
                    raise Refused(
                        f"there are too many different values (at most {MOST_VALUES:,}, and {MOST_BYTES:,} bytes of "
                        "JSON); narrow them with --where, or group by another field"
                    )
                group = groups[key] = {"value": value, "sessions": 0}
            group["sessions"] += 1
    return [group for _, group in sorted(groups.items(), key=lambda item: (-item[1]["sessions"], item[0]))]


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return timestamp(value)
    return value.value if isinstance(value, Enum) else value
