"""How far a session has come: to decide which of its versions is the newest."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ..archive.snapshot import Revision
from ..archive.values import as_count
from ..document.action_numbers import next_t_after, t_of
from ..document.schema import as_object
from ..document.splice import base_from_string
from ..document.timestamps import EPOCH, parse_timestamp


def progress_of(head: dict[str, Any]) -> Revision:
    """How far a session has come, by its document without the trajectory."""
    return Revision(
        as_count(as_object(head.get("statistics")).get("total_actions")),
        next_t_after(t_of(as_object(head.get("history")).get("last_action")), empty=False),
        updated_ms(head),
    )


def updated_ms(head: dict[str, Any]) -> int:
    """When a session was updated last, in milliseconds since 1970; 0 if its document does not say so."""
    updated = parse_timestamp(head.get("last_updated"))
    return max((updated - EPOCH) // timedelta(milliseconds=1), 0) if updated is not None else 0


def is_newer(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether one version of a session is newer than another; both without their trajectories."""
    return progress_of(one).compared_to(progress_of(other)) > 0


def begun_from(raw: bytes) -> dict[str, Any]:
    """The fields of a journaled session that begins with this string."""
    base = base_from_string(raw)
    home = len(base.document["history"]["actions"])
    return {"home": home, "progress": list(progress_of(base.head)), "superseded": False}
