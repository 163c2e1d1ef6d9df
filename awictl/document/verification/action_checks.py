"""Check the records of actions, their numbers (`t`), and `history.last_action`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..action_numbers import first_ordinal, required_actions, t_of
from ..history.partial_state import ABSENT
from ..history.partial_update import is_end, is_start
from ..history.timeline import Step
from ..json_codec import json_equal
from ..keys import is_op_id
from ..schema import PROTECTED_FIELDS, SESSION_START, as_object
from ..timestamps import parse_timestamp
from .discrepancy import DamageKind, Verification, first_unequal, is_from_app

#: Number of actions that the app keeps, and where its `t` sticks.
APP_LIMIT = 100


def check_actions(document: Mapping[str, Any], steps: Sequence[Step], found: Verification) -> None:
    """Check that each action is a record of one, that no op_id occurs twice, and the last action."""
    of_app = is_from_app(document)
    op_ids: dict[str, int] = {}
    for index, step in enumerate(steps):
        if not isinstance(step.action, dict):
            _wrong(found, index, step, "", "an object", step.action, "is not a record of an action")
            continue
        _check_record(index, step, found, of_app=of_app and "op_id" not in step.action)
        op_id = step.action.get("op_id")
        if isinstance(op_id, str) and not step.overwritten:  # what was overwritten may have been sent again
            if op_id in op_ids:
                text = f"is also the op_id of action {op_ids[op_id]}: one update was applied twice"
                _wrong(found, index, step, "/op_id", ABSENT, op_id, text)
            op_ids[op_id] = step.ordinal
    kept = [one for one in steps if not one.overwritten]
    last = as_object(document.get("history")).get("last_action", ABSENT)
    expected = kept[-1].action if kept else None
    if json_equal(last, expected) or (last is None and len(kept) == 1 and is_start(expected)):
        return
    place, wanted, there = first_unequal(expected, last, "/history/last_action")
    text = "is not as in the last action of the trajectory"
    found.add(DamageKind.LAST_ACTION, place, wanted, there, text, kept[-1] if kept else None)


def _wrong(found: Verification, index: int, step: Step, field: str, expected: Any, there: Any, text: str) -> None:
    found.add(DamageKind.ACTION, f"/history/actions/{index}{field}", expected, there, text, step)


def _check_record(index: int, step: Step, found: Verification, *, of_app: bool) -> None:
    """Check the fields of a record. `of_app`: it is of the app's own session, which records no numbers and deltas."""
    record = step.action
    name, delta, success = record.get("action", ABSENT), record.get("delta", ABSENT), record.get("success", ABSENT)
    if not isinstance(name, str) or not name:
        _wrong(found, index, step, "/action", "a string", name, "is not the name of an action")
    if t_of(record) is None:
        _wrong(found, index, step, "/t", step.ordinal, record.get("t", ABSENT), "is not the number of an action")
    if parse_timestamp(record.get("timestamp")) is None:
        there = record.get("timestamp", ABSENT)
        _wrong(found, index, step, "/timestamp", "a timestamp", there, "is not a timestamp")
    if not isinstance(delta, dict) and not (of_app and delta is ABSENT):
        _wrong(found, index, step, "/delta", "an object", delta, "is not a delta")
    elif isinstance(delta, dict) and (wrong := [one for one in PROTECTED_FIELDS if one in delta]):
        _wrong(found, index, step, f"/delta/{wrong[0]}", ABSENT, delta[wrong[0]], "is a field that no delta can change")
    if step.ordinal == 0 and name == SESSION_START and "op_id" not in record and not of_app:
        if success is not ABSENT:
            _wrong(found, index, step, "/success", ABSENT, success, "is in the start of the session, which has none")
    elif not isinstance(success, bool) and not of_app and not (is_start(record) or is_end(record)):
        _wrong(found, index, step, "/success", "true or false", success, "is neither true nor false")
    if "op_id" in record:
        if not isinstance(record["op_id"], str) or not is_op_id(record["op_id"]):
            _wrong(found, index, step, "/op_id", "an op_id", record["op_id"], "is not an op_id")
        if "input" not in record:
            _wrong(found, index, step, "/input", "any value", ABSENT, "is missing")


# -- numbers


def check_numbers(document: Mapping[str, Any], found: Verification) -> None:
    """Check that `t` counts on from action to action, except where the app cut the session; and `trimmed_actions`."""
    own = dict(document)
    actions = required_actions(own)
    first = first_ordinal(own)
    numbers = [t_of(one) for one in actions]
    if numbers and numbers[0] not in (0, None) and (first == 0 or is_start(actions[0])):
        _wrong_number(found, 0, Step(0, actions[0]), 0, "the session begins with it")
    highest = -1
    for index, (action, number) in enumerate(zip(actions, numbers, strict=True)):
        before = numbers[index - 1] if index else None
        if number is None:
            continue
        if before is not None:
            by_app = "op_id" not in as_object(action)
            after_app = "op_id" not in as_object(actions[index - 1])
            expected = before + 1
            if first and by_app and after_app:
                expected = min(expected, APP_LIMIT)
                fits = number == expected
            elif first and by_app:  # the app numbers an action by how many the session has in Redis
                fits = index <= number <= expected
            elif first and after_app:  # awictl goes on with the number of actions that there ever were
                expected = max(first + index, highest + 1)
                fits = number == expected or (number > expected and _has_ended_before(document))
            else:
                fits = number == expected
            if not fits:
                _wrong_number(found, index, Step(first + index, action), expected, f"the one before has {before}")
        highest = max(highest, number)
    _check_trimmed(document, actions, numbers, found)


def _has_ended_before(document: Mapping[str, Any]) -> bool:
    """Whether a session went on after an end: the statistics do not say how often."""
    return "session_end" in as_object(document.get("statistics"))


def _wrong_number(found: Verification, index: int, step: Step, expected: int, why: str) -> None:
    there = step.action["t"]
    found.add(
        DamageKind.NUMBER,
        f"/history/actions/{index}/t",
        expected,
        there,
        f"is {there}, not {expected}: {why}",
        step,
    )


def _check_trimmed(
    document: Mapping[str, Any], actions: Sequence[Any], numbers: Sequence[int | None], found: Verification
) -> None:
    trimmed = as_object(document.get("history")).get("trimmed_actions", ABSENT)
    if trimmed is ABSENT:
        return
    last = len(actions) - 1
    while last >= 0 and "op_id" not in as_object(actions[last]):
        last -= 1  # the app's own writes leave it as it was
    number = numbers[last] if last >= 0 else None
    most = number - last if number is not None else None
    if type(trimmed) is not int or trimmed < 0:
        text = "is not a number of actions"
    elif most is not None and (trimmed != most if last == len(actions) - 1 else trimmed > most):
        text = "is not the number of actions before the oldest one in the trajectory"
    else:
        return
    expected = most if most is not None else "a number"
    found.add(DamageKind.NUMBER, "/history/trimmed_actions", expected, trimmed, text)
