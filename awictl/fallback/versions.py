"""Compare the actions of two versions of a session, and put them together. Pure, no I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from ..document.action_numbers import are_consecutive, next_t_of, required_actions
from ..document.byte_layout import encode
from ..document.json_codec import json_equal
from ..document.schema import SESSION_END, as_object
from ..document.splice import Base, Splice, base_from_string
from ..document.update import Change


def trajectory(base: Base) -> list[Any]:
    """The actions of a session that was read with its trajectory."""
    return required_actions(base.document)


def op_id_of(action: Any) -> str | None:
    """The op_id of an action; None if it has none."""
    op_id = as_object(action).get("op_id")
    return op_id if isinstance(op_id, str) else None


def op_ids_of(actions: Iterable[Any]) -> set[str]:
    """The op_ids of actions."""
    return {op_id for one in actions if (op_id := op_id_of(one)) is not None}


def is_same(one: Any, other: Any) -> bool:
    """Whether two recorded actions are the same one; if it has an op_id, its number and its time may differ."""
    op_id = op_id_of(one)
    return op_id == op_id_of(other) if op_id is not None else json_equal(one, other)


def without(actions: Iterable[Any], op_ids: Collection[str]) -> list[Any]:
    """The actions with an op_id that is none of these."""
    return [one for one in actions if (op_id := op_id_of(one)) is not None and op_id not in op_ids]


def is_end(action: Any) -> bool:
    """Whether an action is the end of its session."""
    return as_object(action).get("action") == SESSION_END


def spliced(raw: bytes, change: Change) -> bytes:
    """The string after a change."""
    splice = change.splice
    return splice.head + raw[splice.keep_from : splice.keep_to] + splice.tail


def replaced_older(base: Base, record: Base, home: int, aside: Collection[str], *, persist: bool) -> Change | None:
    """The change that puts a newer version in the place of the one in Redis; None if that is not an older one.

    That is what Redis has if it was restarted with an old dump: its last action is one of those that the journaled
    session began with, and it lacks the following ones. `record`: the journaled session. `home`: number of its actions
    that Redis should have. `aside`: op_ids of actions that it should not have. `persist`: whether an ended session
    loses its TTL.
    """
    stored, actions = trajectory(base), trajectory(record)
    if not stored:
        return None
    at = next((number for number in reversed(range(home)) if is_same(stored[-1], actions[number])), home)
    known = op_ids_of(stored) | set(aside)
    lacking = [one for one in actions[at + 1 : home] if op_id_of(one) not in known]
    last = as_object(actions[-1]) if actions else {}
    if not lacking or op_id_of(last) is None or "delta" not in last:
        return None
    further = [one for one in actions[at + 1 :] if op_id_of(one) not in known]
    history = {name: value for name, value in record.head["history"].items() if name != "trimmed_actions"}
    document = {**record.head, "history": {**history, "actions": [*stored, *further]}}
    if not are_consecutive(document):
        document["history"]["trimmed_actions"] = next_t_of(document) - len(document["history"]["actions"])
    raw = encode(document)
    prefix = base_from_string(raw).prefix
    ends = is_end(last)
    return Change(record.head, last, Splice(prefix, 0, 0, raw[len(prefix) :]), (), persist and ends, ends)
