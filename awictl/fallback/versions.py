"""Compare the actions of two versions of a session, and put them together. Pure, no I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import Any

from ..document.action_numbers import are_consecutive, next_t_of, required_actions, t_of
from ..document.byte_layout import encode
from ..document.fold import fold_head
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
    document = with_actions(record.head, [*stored, *further])
    raw = encode(document)
    prefix = base_from_string(raw).prefix
    ends = is_end(last)
    return Change(record.head, last, Splice(prefix, 0, 0, raw[len(prefix) :]), (), persist and ends, ends)


def with_actions(head: dict[str, Any], actions: list[Any]) -> dict[str, Any]:
    """A document of a head and its trajectory. What is missing in the trajectory is counted as trimmed."""
    before = as_object(head.get("history"))
    history = {name: value for name, value in before.items() if name != "trimmed_actions"}
    document = {**head, "history": {**history, "actions": actions}}
    trimmed = _end_of(document) - len(actions)
    if trimmed > 0 and ("trimmed_actions" in before or not are_consecutive(document)):
        document["history"]["trimmed_actions"] = trimmed
    return document


def _end_of(document: dict[str, Any]) -> int:
    """The number of the next action of a session."""
    history = document["history"]
    numbers = [t for one in history["actions"] if (t := t_of(one)) is not None]
    if len(numbers) < len(history["actions"]) or any(later <= t for t, later in pairwise(numbers)):
        return next_t_of(document)  # the app's numbers repeat
    last = t_of(history.get("last_action"))
    return max(numbers[-1] if numbers else -1, last if last is not None else -1) + 1


def with_later(actions: Sequence[Any], others: Iterable[Any], *, earlier: bool = False) -> list[Any]:
    """A trajectory, with those of other actions of its session that it lacks and that are later than its first.

    They are inserted by their numbers, which never repeat. What has no number is left out. `earlier`: also those that
    are earlier than its first.
    """
    known = op_ids_of(actions)
    numbers = {t for one in actions if (t := t_of(one)) is not None}
    first = -1 if earlier else min(numbers, default=0)
    added = {
        t: one
        for one in others
        if (t := t_of(one)) is not None and t > first and t not in numbers and op_id_of(one) not in known
    }
    joined = list(actions)
    for t, action in sorted(added.items()):
        place = len(joined)
        while place and (t_of(joined[place - 1]) or 0) > t:
            place -= 1
        joined.insert(place, action)
    return joined


def rebased(record: Base, home: int, head: dict[str, Any] | None, others: Sequence[Any]) -> tuple[bytes, int] | None:
    """A journaled session on a newer version of what it began with, and how many of its actions are of that version.

    `home`: number of its actions that are not journaled ones. `head`: the newer version, without its trajectory; None
    if it began with the newest. `others`: actions of the session in Redis that are known. None if nothing changes.
    """
    actions = trajectory(record)
    last = as_object(as_object((head or {}).get("history")).get("last_action"))
    known = with_later(actions[:home], [*others, last])
    op_ids = op_ids_of(known)
    ops = [one for one in actions[home:] if op_id_of(one) not in op_ids]  # the others were applied in Redis, too
    if head is not None:
        folded, ops = fold_head(head, ops, _end_of(with_actions(head, known)))
    elif len(known) == home:
        return None
    else:
        folded = record.head
    return encode(with_actions(folded, [*known, *ops])), len(known)


def runs_of(actions: Sequence[Any]) -> list[list[Any]]:
    """The actions in groups without gaps: one group, unless the number of one is not the next after that before it.

    The app's own numbers repeat; then gaps cannot be recognized, and all actions are one group.
    """
    numbers = [t_of(one) for one in actions]
    runs: list[list[Any]] = []
    for action, t, before in zip(actions, numbers, [None, *numbers], strict=False):
        if t is None or (before is not None and t <= before):
            return [list(actions)]
        if runs and before is not None and t == before + 1:
            runs[-1].append(action)
        else:
            runs.append([action])
    return runs


def restored(record: Base, home: int, others: Sequence[Any]) -> tuple[list[list[Any]], bytes]:
    """What a journaled session becomes in a Redis that has lost it: its string, and groups of earlier actions.

    `home`: number of its actions that are not journaled ones. `others`: the actions that the archive has. The string
    has no gaps: what is known from before one is in the earlier groups, each of consecutive actions.
    """
    actions = trajectory(record)
    ops = actions[home:]
    begun = actions[:home]
    if len(runs_of(begun)) > 1 or t_of(next(iter(begun), None)) != 0:
        journaled = op_ids_of(ops)
        begun = with_later(begun, [one for one in others if op_id_of(one) not in journaled], earlier=True)
    *earlier, last = runs_of([*begun, *ops]) or [[]]
    return earlier, encode(with_actions(record.head, last))


def joined(version: Base, others: Sequence[Any]) -> bytes:
    """The string of a version of a session, with those of other actions of it that it lacks."""
    return encode(with_actions(version.head, with_later(trajectory(version), others, earlier=True)))
