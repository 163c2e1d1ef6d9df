"""The numbers (`t`) of actions, and how many actions a trajectory has according to them.

`t` counts from 0 and never repeats. The app's own `t` sticks at 100; the next `t` is then the number of all actions
that the session has had so far, and from there on, the number of actions in the trajectory is `next t - first t`. So
the head and the first action alone give the length of a trajectory. `history.trimmed_actions` is the number of actions
that were removed. It is recorded by the first trimming, or if stored numbers have gaps, and then replaces the first `t`
in that difference.
"""

from __future__ import annotations

import re
from typing import Any

from ..errors import InvalidData
from .schema import SESSION_END, SESSION_START, as_object

#: All numbers of actions are smaller: up to there, the numbers of JavaScript are exact.
MAX_NUMBER = 2**53
#: The start of an action, as awictl writes it, with its number.
FIRST_T = re.compile(rb'\{"t":([0-9]{1,16})[,}]')


def actions_of(document: dict[str, Any]) -> list[Any] | None:
    """The trajectory of a document; None if it has none."""
    history = document.get("history")
    actions = history.get("actions") if isinstance(history, dict) else None
    return actions if isinstance(actions, list) else None


def required_actions(document: dict[str, Any]) -> list[Any]:
    """The trajectory of a document. Raises InvalidData if it has none."""
    actions = actions_of(document)
    if actions is None:
        raise InvalidData("not a session document: it has no history.actions")
    return actions


def t_of(action: Any) -> int | None:
    """The number of an action; None if it has none that can be counted with."""
    return _countable(action.get("t")) if isinstance(action, dict) else None


def numbers_of(actions: list[Any]) -> list[int | None]:
    """The number of each action; see `t_of`."""
    found: list[Any] = [one.get("t") if type(one) is dict else None for one in actions]
    if {*map(type, found)} == {int} and min(found) >= 0 and max(found) < MAX_NUMBER:
        return found  # the usual case, without a call per action
    return list(map(t_of, actions))


def next_t_of(document: dict[str, Any], first: int | None = None) -> int:
    """The number of the next action of a full document. Raises InvalidData if it has no trajectory.

    `first`: its `first_ordinal`, if that is known already.
    """
    actions = required_actions(document)
    numbers = [number for number in numbers_of(actions) if number is not None]
    last = t_of(document["history"].get("last_action"))
    trimmed = document["history"].get("trimmed_actions")
    stored = trimmed if _countable(trimmed) is not None else t_of(actions[0]) if actions else None
    end = max(max(numbers, default=-1) + 1, (last if last is not None else -1) + 1, (stored or 0) + len(actions))
    cut_end = (first_ordinal(document) if first is None else first) + len(actions)
    return cut_end if end < cut_end < MAX_NUMBER else end


def first_ordinal(document: dict[str, Any]) -> int:
    """The ordinal of the first action in a document, its position in the session's whole life, by the stored numbers.

    If `t` counts on from action to action, it is the ordinal. Otherwise the app cut the session, which it does not
    count, and its `t` sticks at 100: then each of the numbers can only be too low. 0 if none of them says otherwise.
    """
    history = as_object(document.get("history"))
    actions = actions_of(document) or []
    numbers = numbers_of(actions)
    first_t = numbers[0] if numbers else None
    trimmed = _count(history.get("trimmed_actions"))
    if first_t is not None and trimmed <= first_t and numbers == list(range(first_t, first_t + len(actions))):
        return first_t
    names = [as_object(one).get("action") for one in actions]
    if names[:1] == [SESSION_START]:
        return 0  # whatever `trimmed_actions` says: it is recorded for gaps in the numbers, too
    statistics = as_object(document.get("statistics"))
    total = _count(statistics.get("total_actions"))
    outcomes = [_countable(statistics.get(name)) for name in ("successful_actions", "failed_actions")]
    if None not in outcomes:
        # a delta may have overwritten one of them; rather than to invent a gap, the lower number counts
        total = min(total, sum(one or 0 for one in outcomes))
    uncounted = names.count(SESSION_START) + names.count(SESSION_END)
    cut = max(total - (len(actions) - uncounted), 0)
    # the statistics do not count the start, nor an end after which the session went on
    if (cut or trimmed) and SESSION_START not in names:
        cut += 1
    if cut and "session_end" in statistics and SESSION_END not in names:
        cut += 1
    return max(cut, trimmed or first_t or 0)


def last_ordinal(document: dict[str, Any]) -> int:
    """The ordinal of the last action in a document, by the stored numbers; see `first_ordinal`."""
    return first_ordinal(document) + len(actions_of(document) or []) - 1


def gap_row(first: int, last: int | None) -> dict[str, int | None]:
    """A range of missing actions as JSON values. `last`: None if it is not known how many are missing."""
    return {"from": first, "to": last, "count": last - first + 1 if last is not None else None}


def next_t_after(last_t: Any, *, empty: bool) -> int:
    """The number of the next action, from the stored number of the last one. `empty`: whether there are no actions."""
    last = _countable(last_t)
    if last is not None:
        return last + 1
    return 0 if empty else 1


def count_up_to(next_t: int, trimmed: Any, following: bytes, start: int = 0) -> int | None:
    """How many actions a trajectory has if the next one is number `next_t`; None if that is not determined.

    `trimmed`: the value of `history.trimmed_actions`, if any. `following`: bytes with the first action at `start`.
    """
    first = trimmed if type(trimmed) is int else first_t_in(following, start)
    return max(next_t - first, 0) if first is not None else None


def first_t_in(following: bytes, start: int = 0) -> int | None:
    """The number of the action that starts at `start`, as awictl writes it; None if it has none there."""
    first = FIRST_T.match(following, start)
    return int(first[1]) if first is not None else None


def are_consecutive(document: dict[str, Any]) -> bool:
    """Whether the head and the first action of a document determine how many actions it has."""
    history, actions = document["history"], required_actions(document)
    next_t = next_t_of(document)
    if next_t != next_t_after(t_of(history.get("last_action")), empty=not actions):
        return False
    trimmed = history.get("trimmed_actions")
    if type(trimmed) is not int:
        trimmed = t_of(actions[0]) if actions else next_t
    return trimmed is not None and trimmed == next_t - len(actions)


def _countable(number: Any) -> int | None:
    return number if type(number) is int and 0 <= number < MAX_NUMBER else None


def _count(number: Any) -> int:
    return _countable(number) or 0
