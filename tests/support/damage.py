"""Damage one field of a session at random, so that only a look at the rest of the session can show it."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from typing import Any

from awictl.document.byte_layout import encode
from awictl.document.json_codec import dumps, json_equal
from awictl.document.merge import merge
from awictl.document.schema import SESSION_START

from .lives import leaves

#: What is not in any delta, and may be anything in a new session: only a copy shows that it was changed.
_ONLY_IN_COPY = {("agent_id",), ("agent_name",), ("user_id",), ("current_url",), ("page_state", "route")}
_TIMES = [("last_updated",), *(("statistics", name) for name in ("last_activity", "session_start", "session_end"))]
_COUNTS = [("statistics", name) for name in ("total_actions", "successful_actions", "failed_actions")]
_OTHERS: list[Any] = [None, True, False, 0, 1, 3, -1, 2.5, "x", "", [], {}, ["y"], {"k": 1}]

Path = tuple[Any, ...]


def at(document: Any, path: Path) -> Any:
    for part in path:
        document = document[part]
    return document


def changed(document: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """A copy with another value at a path."""
    made = copy.deepcopy(document)
    at(made, path[:-1])[path[-1]] = value
    return made


def without(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """A copy without the field, or the item, at a path."""
    made = copy.deepcopy(document)
    del at(made, path[:-1])[path[-1]]
    return made


def stored(document: dict[str, Any], chance: random.Random) -> bytes:
    """The string of a damaged document, in either layout."""
    return encode(document) if chance.random() < 0.5 else dumps(document)


def other_value(value: Any, chance: random.Random) -> Any:
    """Another value: one of its kind, or any."""
    if isinstance(value, str) and len(value) == 24 and value.endswith("Z") and chance.random() < 0.5:
        return value.replace("2026", "2025")
    if type(value) is int and abs(value) < 2**50 and chance.random() < 0.5:  # the app itself rounds larger ones
        return value + chance.choice([-1, 1, 10])
    if type(value) is bool and chance.random() < 0.5:
        return not value
    while True:
        other = chance.choice(_OTHERS)
        if not json_equal(other, value):
            return other


def anywhere(document: dict[str, Any], chance: random.Random) -> tuple[str, dict[str, Any]]:
    """Damage any field at all, as a copy of the session shows it."""
    return _damaged(document, chance.choice(leaves(document)), chance)


def _damaged(document: dict[str, Any], path: Path, chance: random.Random) -> tuple[str, dict[str, Any]]:
    """Change or remove the value at a path, or add another field beside it."""
    kind = chance.random()
    name = "/".join(map(str, path))
    if kind < 0.15:
        return f"without {name}", without(document, path)
    if kind < 0.25 and isinstance(at(document, path[:-1]), dict):
        return f"another field beside {name}", changed(document, (*path[:-1], "added by nobody"), 1)
    value = other_value(at(document, path), chance)
    return f"{name} is {value!r}", changed(document, path, value)


def visible(document: dict[str, Any], chance: random.Random) -> tuple[str, dict[str, Any]]:
    """Damage a field that the document itself contradicts."""
    kinds: list[Callable[[], tuple[str, dict[str, Any]] | None]] = [
        lambda: _in_state(document, chance),
        lambda: _in_state(document, chance),
        lambda: _path(document, _COUNTS, chance),
        lambda: _path(document, _TIMES, chance),
        lambda: _path(document, [("session_id",)], chance),
        lambda: _path(document, _numbers(document), chance),
        lambda: _path(document, leaves(document["history"]["last_action"], ("history", "last_action")), chance),
        lambda: _in_delta(document, chance),
        lambda: _in_delta(document, chance),
        lambda: _in_record(document, chance),
    ]
    while (found := chance.choice(kinds)()) is None:
        pass
    return found


def _path(document: dict[str, Any], paths: Sequence[Path], chance: random.Random) -> tuple[str, dict[str, Any]] | None:
    there = [one for one in paths if _has(document, one)]
    if not there:
        return None
    path = chance.choice(there)
    value = at(document, path)
    if path in _TIMES:  # a time that is off by an hour; or none
        value = chance.choice([str(value).replace("T0", "T1"), "x", None, 5])
    else:
        value = other_value(value, chance)
    return f"{path} is {value!r}", changed(document, path, value)


def _has(document: Any, path: Path) -> bool:
    try:
        at(document, path)
    except (KeyError, IndexError, TypeError):
        return False
    return True


def _numbers(document: dict[str, Any]) -> list[Path]:
    history = document["history"]
    return [("history", "trimmed_actions"), *(("history", "actions", n, "t") for n in range(len(history["actions"])))]


def is_whole(document: dict[str, Any]) -> bool:
    return bool(document["history"]["actions"][0]["action"] == SESSION_START)


def _in_state(document: dict[str, Any], chance: random.Random) -> tuple[str, dict[str, Any]] | None:
    """A field that a new session or a delta determines."""
    fields = {name: value for name, value in document.items() if name not in ("history", "session_id")}
    paths = [one for one in leaves(fields) if one not in _TIMES and one not in _ONLY_IN_COPY]
    if not is_whole(document):
        deltas = [one["delta"] for one in document["history"]["actions"]]
        paths = [one for one in paths if any(_has(delta, one) for delta in deltas)]
        return _path(document, paths, chance) if paths else None
    return _damaged(document, chance.choice(paths), chance)


def _in_delta(document: dict[str, Any], chance: random.Random) -> tuple[str, dict[str, Any]] | None:
    """A delta whose effect is visible in the state: replayed with another value, it gives another one."""
    actions = document["history"]["actions"]
    paths = [one for n, action in enumerate(actions) for one in leaves(action["delta"], (n, "delta")) if len(one) > 2]
    if not paths or not is_whole(document):
        return None
    path = chance.choice(paths)
    damaged = changed(document, ("history", "actions", *path), other_value(at(actions, path), chance))
    before, after = _replayed(actions), _replayed(damaged["history"]["actions"])
    return (f"delta {path}", damaged) if not json_equal(before, after) else None


def _replayed(actions: Sequence[dict[str, Any]]) -> Any:
    """The fields that deltas set; without the counts and times that each action sets."""
    state: dict[str, Any] = {"page_state": {"filters": {}, "sort": {"key": 1}}, "permissions": {}, "query_cache": {}}
    for action in actions:
        state = merge(state, action["delta"])
    return state


def _in_record(document: dict[str, Any], chance: random.Random) -> tuple[str, dict[str, Any]] | None:
    """A field of a record that it cannot do without."""
    actions = document["history"]["actions"]
    n = chance.randrange(len(actions))
    name = chance.choice(["action", "delta", "timestamp", "t"])
    path = ("history", "actions", n, name)
    if chance.random() < 0.3:
        return f"without {path}", without(document, path)
    return f"{path} of another type", changed(document, path, chance.choice([None, [], 2.5, True]))
