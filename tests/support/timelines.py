"""Random timelines of every kind: whole, cut, with gaps and overwritten actions, and with documents that do not fit."""

from __future__ import annotations

import copy
import random
from typing import Any

from awictl.document.history.timeline import Step, Timeline, steps_of

from .lives import random_life

#: Keys that are no plain fields in JavaScript.
ODD_KEYS = ["__proto__", "constructor", "hasOwnProperty", "toString", "0", "10", "-1", "length", "", "a/b~c", "\ud800"]


def random_timeline(seed: int) -> Timeline:
    """A timeline, which is the same for a seed."""
    chance = random.Random(seed)
    life = random_life(seed)
    document = life.document
    for change in (_odd_deltas, _damaged_actions, _another_present):
        if chance.random() < 0.25:
            change(document, chance)
    steps = steps_of(document)
    if life.trimmed and chance.random() < 0.6 and steps[0].ordinal >= len(life.trimmed):
        first = steps[0].ordinal - len(life.trimmed)
        steps = [*(Step(first + at, action) for at, action in enumerate(life.trimmed)), *steps]
    if chance.random() < 0.2:  # earlier actions are gone
        steps = steps[chance.randrange(len(steps)) :]
    breaks: set[int] = set()
    if chance.random() < 0.25:
        for _ in range(chance.randint(1, 3)):
            start = chance.randrange(len(steps))
            del steps[start : min(start + chance.randint(1, 4), len(steps) - 1)]
    if chance.random() < 0.15:
        breaks = {chance.choice(steps).ordinal}
    if chance.random() < 0.2:
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(steps))
            lost = {"t": steps[at].ordinal, "action": "lost", "delta": {"lost": life.value()}, "timestamp": "x"}
            steps.insert(at + chance.randint(0, 1), Step(steps[at].ordinal, lost, overwritten=True))
    return Timeline(document, steps, breaks, partial=chance.random() < 0.05)


def _odd_deltas(document: dict[str, Any], chance: random.Random) -> None:
    """Some deltas have keys and values of their own, which the state has, too."""
    for action in document["history"]["actions"]:
        if isinstance(action, dict) and isinstance(action.get("delta"), dict) and chance.random() < 0.3:
            key = chance.choice(ODD_KEYS)
            value: Any = chance.choice([{chance.choice(ODD_KEYS): 2**63 + 1}, {key: {}}, [{key: -0.0}], 1.0, None])
            action["delta"] = {**action["delta"], key: value}
            document[key] = copy.deepcopy(value)


def _damaged_actions(document: dict[str, Any], chance: random.Random) -> None:
    """Some actions lack fields, or have other types."""
    actions = document["history"]["actions"]
    for at, action in enumerate(actions):
        if not isinstance(action, dict) or chance.random() > 0.15:
            continue
        kind = chance.randrange(8)
        if kind < 2:
            del action[("delta", "timestamp")[kind]]
        elif kind == 2:
            actions[at] = chance.choice(["text", None, [1]])
        elif kind == 3:
            action["delta"] = chance.choice([None, "x", []])
        elif kind == 4:
            action["delta"] = {"statistics": {"total_actions": chance.choice([1.0, 7, "x", 2**53, None])}}
        elif kind == 5:
            action["delta"] = {"statistics": chance.choice([None, {}, "x", {"failed_actions": 3.5}])}
        elif kind == 6:
            action |= {"action": "session_start"}
            action.pop("success", None)
        else:
            action["delta"] = {chance.choice(["user_id", "agent_name", "current_url"]): {"a": 1}}


def _another_present(document: dict[str, Any], chance: random.Random) -> None:
    """The present state is not what the deltas say."""
    for _ in range(chance.randint(1, 3)):
        kind = chance.randrange(5)
        page = document.get("page_state")
        if kind == 0:
            document["new"] = {"a": chance.randint(0, 2)}
        elif kind == 1 and isinstance(page, dict) and page:
            page.pop(chance.choice([*page]))
        elif kind == 2:
            document["page_state"] = chance.choice([None, {}, {"route": "/elsewhere"}])
        elif kind == 3 and isinstance(document.get("statistics"), dict):
            document["statistics"]["total_actions"] = chance.choice([0, 1.0, 500, "x"])
        else:
            document.pop(chance.choice(["statistics", "permissions", "last_updated", "user_id"]), None)
