"""Validate the arguments of an update: plain JSON of limited size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InvalidInput
from . import keys
from .json_codec import check_input, dumps, json_type
from .update import Update, action_of

_ENTRY_KEYS = frozenset({"action", "input", "success", "observation", "op_id"})


def checked_update(
    delta: Mapping[str, Any], entry: Mapping[str, Any] | None, limit: int, fresh_op_id: str | None = None
) -> tuple[Update, bool]:
    """The update for a delta and an entry of the history, and whether the caller set its op_id.

    `entry`: any of action, input, success, observation and op_id. `limit`: maximum size of the delta, the input and the
    observation each, in bytes. `fresh_op_id`: the op_id if the entry has none. Raises InvalidInput.
    """
    entry = dict(entry or {})
    if unknown := entry.keys() - _ENTRY_KEYS:
        raise InvalidInput(
            f"unknown field of an action: {', '.join(sorted(unknown))}; expected {', '.join(sorted(_ENTRY_KEYS))}"
        )
    given = entry.get("op_id") is not None
    op_id = keys.check_op_id(entry["op_id"]) if given else fresh_op_id or keys.new_op_id()
    action = check_input(entry.get("action", action_of(delta) if isinstance(delta, dict) else "?"))
    success = entry.get("success", True)
    if not isinstance(action, str) or not action:
        raise InvalidInput("the name of an action must be a string that is not empty")
    if not isinstance(success, bool):
        raise InvalidInput("the success of an action must be true or false")
    update = Update(
        delta=checked_object(delta, "a delta", limit),
        action=action,
        input=_checked_size(check_input(entry.get("input", {})), "the input", limit),
        success=success,
        observation=_checked_size(check_input(entry.get("observation")), "the observation", limit),
        op_id=op_id,
    )
    return update, given


def checked_object(value: Mapping[str, Any], what: str, limit: int) -> dict[str, Any]:
    """A copy of a JSON object. Raises InvalidInput if it is not one, or has more than `limit` bytes."""
    if not isinstance(value, dict):
        raise InvalidInput(f"{what} must be a JSON object, not {json_type(value)}")
    checked: dict[str, Any] = _checked_size(check_input(value), what, limit)
    return checked


def checked_json(value: Any, what: str, limit: int) -> Any:
    """A copy of a JSON value. Raises InvalidInput if it is not one, or has more than `limit` bytes."""
    return _checked_size(check_input(value), what, limit, "AWI_MAX_DOCUMENT_BYTES")


def _checked_size(value: Any, what: str, limit: int, setting: str = "AWI_MAX_DELTA_BYTES") -> Any:
    size = len(dumps(value))
    if size > limit:
        raise InvalidInput(f"{what} has {size:,} bytes, more than the limit of {limit:,} ({setting})")
    return value
