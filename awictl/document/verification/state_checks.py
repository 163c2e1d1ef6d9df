"""Check the state of a session against its trajectory: the deltas are replayed, the actions counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ..action_numbers import first_ordinal
from ..history.partial_state import ABSENT, UNKNOWN, OpenObject, combine, known_part
from ..history.partial_update import applied, beginning, is_end, is_start, state_of
from ..history.timeline import Step
from ..json_codec import dumps, json_equal
from ..merge import keys_of, value_at
from ..schema import FORKED_FROM, as_array, as_object
from ..timestamps import parse_timestamp
from .discrepancy import DamageKind, Origin, Verification, is_from_app

#: How much the times of one update of the app may differ: it reads the clock several times.
APP_TIMES = timedelta(seconds=1)
#: The times of a document. They are not compared with the replay, but by `check_times`.
_TIMES = ("/last_updated", "/statistics/last_activity", "/statistics/session_start", "/statistics/session_end")
_COUNTS = ("total_actions", "successful_actions", "failed_actions")


def check_state(document: dict[str, Any], kept: Sequence[Step], found: Verification) -> None:
    """Replay the deltas from the first state that is known; the result has to be the state.

    `kept`: the trajectory without overwritten actions.
    """
    if not kept:
        return
    head = state_of(document)
    run = _last_run(kept)
    start = beginning(head, run[0].action) if run[0].ordinal == 0 else None
    _replay(head, OpenObject() if start is None else start, run, found)
    if start is not None:
        _check_fresh(head, run, found)


def check_origin(document: dict[str, Any], kept: Sequence[Step], origin: Origin, found: Verification) -> None:
    """Replay the deltas from an earlier version, which is known completely; the result has to be the state."""
    if kept and (run := _last_run(kept))[0].ordinal <= origin.ordinal + 1:
        later = [one for one in run if one.ordinal > origin.ordinal]
        _replay(state_of(document), state_of(dict(origin.head)), later, found, origin)


def _last_run(kept: Sequence[Step]) -> Sequence[Step]:
    """The newest actions between which none is missing, and of which all deltas are known."""
    start = len(kept) - 1
    while start and kept[start].ordinal == kept[start - 1].ordinal + 1 and _has_delta(kept[start]):
        start -= 1
    return kept[start:]


def _has_delta(step: Step) -> bool:
    return isinstance(as_object(step.action).get("delta"), dict)


def _replay(
    head: dict[str, Any],
    start: dict[str, Any],
    steps: Sequence[Step],
    found: Verification,
    origin: Origin | None = None,
) -> None:
    """Compare the state with the result of a replay. `origin`: what is at its start, unless it is a new session."""
    known = {one.pointer for one in found.differences} if origin is not None else ()
    since = origin.name if origin is not None else "a new session"
    state = start
    for step in steps:
        state = applied(state, step.action) if _has_delta(step) else OpenObject()
    conflicts: list[str] = []
    combine(state, head, conflicts)
    for pointer in conflicts:
        expected, there = known_part(_at(state, pointer)), value_at(head, pointer, ABSENT)
        by_time = pointer in _TIMES and there is not ABSENT and expected is not ABSENT
        setter = next((one for one in reversed(steps) if _sets(one, pointer)), None)
        if pointer in known or (by_time and steps) or _is_missing_in_fork(head, pointer, setter):
            continue
        if pointer.startswith("/statistics/") and pointer.split("/")[2] in _COUNTS:
            text = f"is {_shown(there)}, but by the trajectory it is {_shown(expected)}"
            found.add(DamageKind.STATISTICS, pointer, expected, there, text, setter)
        elif setter is not None:
            text = f"is {_shown(there)}, but action {setter.ordinal} set it to {_shown(expected)}"
            found.add(DamageKind.STATE, pointer, expected, there, text, setter)
        else:
            was = f"{since} has {_shown(expected)}" if expected is not ABSENT else f"{since} does not have it"
            text = f"is {_shown(there)}, but no action set it, and {was}"
            kind = DamageKind.STATE if origin is None else DamageKind.ARCHIVE
            found.add(kind, pointer, expected, there, text)


def _is_missing_in_fork(head: Mapping[str, Any], pointer: str, setter: Step | None = None) -> bool:
    """Whether a field was unknown when the session was forked from another one, so that it lacks it.

    `setter`: the last action that set it; not one since then.
    """
    origin = as_object(head.get(FORKED_FROM))
    ordinal = origin.get("ordinal")
    if setter is not None and type(ordinal) is int and setter.ordinal > ordinal:
        return False
    missing = as_array(origin.get("unknown"))
    return any(isinstance(one, str) and f"{pointer}/".startswith(f"{one}/") for one in missing)


def _at(state: Any, pointer: str) -> Any:
    value = value_at(state, pointer, ABSENT)
    return ABSENT if value is UNKNOWN else value


def _shown(value: Any) -> str:
    if value is ABSENT:
        return "absent"
    text = dumps(value).decode()
    return text if len(text) <= 60 else f"{text[:59]}…"


def _sets(step: Step, pointer: str) -> bool:
    """Whether a delta sets the field, or an object around it."""
    value: Any = as_object(as_object(step.action).get("delta"))
    for name in keys_of(pointer):
        if not isinstance(value, dict):
            return True
        if name not in value:
            return False
        value = value[name]
    return True


def _check_fresh(head: Mapping[str, Any], steps: Sequence[Step], found: Verification) -> None:
    """Check what differs from one new session to the next, unless an action has set it."""

    def is_fresh(pointer: str) -> bool:
        return not any(_sets(one, pointer) for one in steps) and not _is_missing_in_fork(head, pointer)

    for name, types, what in (("agent_name", str, "a string"), ("user_id", (str, type(None)), "a string or null")):
        there = head.get(name, ABSENT)
        if is_fresh(f"/{name}") and not isinstance(there, types):
            found.add(DamageKind.STATE, f"/{name}", what, there, f"is {_shown(there)}, which no action set")
    url, route = head.get("current_url", ABSENT), value_at(head, "/page_state/route", ABSENT)
    places = [one for one in ("/current_url", "/page_state/route") if is_fresh(one)]
    if len(places) == 2 and (not json_equal(url, route) or not isinstance(url, str)):
        text = (
            f"is {_shown(url)}, page_state.route is {_shown(route)}; no action set either, so both are as at the start"
        )
        found.add(DamageKind.STATE, "/current_url", route, url, text)
    elif len(places) == 1 and not isinstance(there := value_at(head, places[0], ABSENT), str):
        found.add(DamageKind.STATE, places[0], "a string", there, f"is {_shown(there)}, which no action set")


# -- statistics


def check_counts(document: dict[str, Any], kept: Sequence[Step], found: Verification) -> None:
    """Check the counts of a session whose beginning is unknown, as far as its last actions tell.

    Those of a session that is known from its beginning are part of the replay.
    """
    statistics = document.get("statistics")
    if any(_is_missing_in_fork(document, f"/statistics/{name}") for name in _COUNTS):
        return
    whole = kept and kept[0].ordinal == 0 and len(_last_run(kept)) == len(kept)
    if not isinstance(statistics, dict) or not kept or any(_sets_a_count(one) for one in kept):
        return
    if whole and beginning(state_of(document), kept[0].action) is not None:
        return
    counts = [statistics.get(name, 0) for name in _COUNTS]
    for name, count in zip(_COUNTS, counts, strict=True):
        if type(count) is not int or count < 0:
            found.add(DamageKind.STATISTICS, f"/statistics/{name}", "a number", count, "is not a number of actions")
            return
    total, *outcomes = counts
    if total != sum(outcomes):
        text = f"is {total}, but {outcomes[0]} succeeded and {outcomes[1]} failed"
        found.add(DamageKind.STATISTICS, "/statistics/total_actions", sum(outcomes), total, text)
        return
    if is_from_app(document):
        return
    counted = [one for one in kept if not is_start(one.action) and not is_end(one.action)]
    failed = sum(as_object(one.action).get("success") is False for one in counted)
    for name, count, least in zip(_COUNTS, counts, (len(counted), len(counted) - failed, failed), strict=True):
        if count < least:
            text = f"is {count}, but there are {least} such actions in the trajectory"
            found.add(DamageKind.STATISTICS, f"/statistics/{name}", least, count, text)
            return
    numbers = [as_object(one.action).get("t") for one in kept]
    if numbers == [*range(kept[0].ordinal, kept[0].ordinal + len(kept))]:
        # the start is not counted either, nor are ends that are missing: the time of one of them may tell of some
        most = kept[-1].ordinal + 1 - (len(kept) - len(counted)) - (kept[0].ordinal > 0)
        is_exact = "session_end" not in statistics and FORKED_FROM not in document
        if (total > most or (is_exact and total < most)) and first_ordinal(document) == kept[0].ordinal:
            text = f"is {total}, but by the numbers of the actions there were {most}"
            found.add(DamageKind.STATISTICS, "/statistics/total_actions", most, total, text)


def _sets_a_count(step: Step) -> bool:
    return any(_sets(step, f"/statistics/{name}") for name in _COUNTS)


# -- times


def check_times(document: Mapping[str, Any], kept: Sequence[Step], found: Verification) -> None:
    """Check the times of a document: each action sets them to its own."""
    if not kept or not _has_delta(kept[-1]):
        return  # the app's own session in MongoDB: its times are not those of its last action
    statistics = document.get("statistics")
    _check_time("/last_updated", document.get("last_updated", ABSENT), kept[-1], kept, found)
    if not isinstance(statistics, dict):
        return
    for name, step in _moments(kept):
        pointer = f"/statistics/{name}"
        if name not in statistics and _is_missing_in_fork(document, pointer):
            continue  # such as the time of an end after which the session went on
        if not any(_sets(one, pointer) for one in kept if one.ordinal > step.ordinal):
            _check_time(pointer, statistics.get(name, ABSENT), step, kept, found)
    if kept[0].ordinal:
        _check_earlier("session_start", document, kept, found)
        if "session_end" in statistics and not any(is_end(one.action) for one in kept):
            _check_earlier("session_end", document, kept, found)


def _moments(kept: Sequence[Step]) -> Iterator[tuple[str, Step]]:
    """The times in the statistics, and the actions that set them."""
    if (active := next((one for one in reversed(kept) if not is_end(one.action)), None)) is not None:
        yield "last_activity", active
    if kept[0].ordinal == 0 and is_start(kept[0].action):
        yield "session_start", kept[0]
    if (end := next((one for one in reversed(kept) if is_end(one.action)), None)) is not None:
        yield "session_end", end


def _check_earlier(name: str, document: Mapping[str, Any], kept: Sequence[Step], found: Verification) -> None:
    """Check the time of the start, or of an end, that is among missing actions before those that are known."""
    pointer = f"/statistics/{name}"
    if _is_missing_in_fork(document, pointer) or any(_sets(one, pointer) for one in kept):
        return
    there = value_at(document, pointer, ABSENT)
    moment = parse_timestamp(there)
    times = [parse_timestamp(as_object(one.action).get("timestamp")) for one in kept]
    if moment is None or all(one is not None and one < moment for one in times):
        text = f"is {_shown(there)}, which is not before any of the later actions"
        found.add(DamageKind.STATISTICS, pointer, as_object(kept[0].action).get("timestamp"), there, text)


def _check_time(pointer: str, there: Any, step: Step, kept: Sequence[Step], found: Verification) -> None:
    expected = as_object(step.action).get("timestamp")
    if there == expected:
        return
    wanted, moment = parse_timestamp(expected), parse_timestamp(there)
    if wanted is not None and moment is not None and _fits(pointer, moment, wanted, step, kept):
        return
    text = f"is {_shown(there)}, but action {step.ordinal} is of {_shown(expected)}"
    found.add(DamageKind.STATISTICS, pointer, expected, there, text, step)


def _fits(pointer: str, moment: datetime, wanted: datetime, step: Step, kept: Sequence[Step]) -> bool:
    """Whether a time can be that of an action: the app's are not exact; what is brought home sets no time back."""
    if "op_id" not in as_object(step.action) and abs(moment - wanted) <= APP_TIMES:
        return True
    if pointer not in _TIMES[:2] or moment < wanted:
        return False
    for one in kept:
        other = parse_timestamp(as_object(one.action).get("timestamp"))
        exact = "op_id" in as_object(one.action)
        if other is not None and abs(moment - other) <= (timedelta(0) if exact else APP_TIMES):
            return True
    return False
