"""A fork has the document that its original had at that moment."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from test_timeline import cut, lived, updates

from awictl.document.byte_layout import encode
from awictl.document.history.fork import before_end, fork, unknown_in_fork
from awictl.document.history.timeline import Timeline
from awictl.document.json_codec import json_equal
from awictl.document.schema import FORKED_FROM, SESSION_END
from awictl.document.update import Update, ending
from awictl.document.verification.verify import verify

#: Without those that overwrite the counts, which then do not fit the actions, and without ends that are not counted.
consistent = updates.filter(lambda one: "statistics" not in one.delta and not one.ends)


def without_origin(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in ("session_id", FORKED_FROM)}


@given(st.lists(updates, max_size=8), st.data())
def test_of_a_whole_session(made: list[Update], data: st.DataObject) -> None:
    documents = lived(made)
    ordinal = data.draw(st.integers(0, len(documents) - 1))
    timeline = Timeline(documents[-1])
    state = before_end(timeline, timeline.state_at(ordinal))
    assert state is not None
    expected = documents[state.ordinal]
    assert expected["history"]["actions"][-1]["action"] != SESSION_END
    found = fork("sess_1", documents[-1], timeline, state, "sess_2", None, 1000)
    assert found.document["session_id"] == "sess_2" and not found.earlier and not unknown_in_fork(state)
    origin = {"session_id": "sess_1", "t": state.ordinal, "ordinal": state.ordinal}
    assert found.document[FORKED_FROM] == origin
    assert json_equal(without_origin(found.document), without_origin(expected))
    assert not verify("sess_2", found.document, raw=encode(found.document)).differences


@given(st.lists(consistent, min_size=1, max_size=12), st.data())
def test_of_a_session_without_its_beginning(made: list[Update], data: st.DataObject) -> None:
    """Nothing is invented, the numbers go on, and what the document has no room for is in `earlier`."""
    documents = lived([*made, *([ending()] if data.draw(st.booleans()) else [])])
    first = data.draw(st.integers(1, len(documents) - 1))
    ordinal, limit = data.draw(st.integers(first, len(documents) - 1)), data.draw(st.integers(1, 6))
    original = cut(documents[-1], first)
    timeline = Timeline(original)
    state = before_end(timeline, timeline.state_at(ordinal))
    if state is None:
        assert {one["action"] for one in documents[ordinal]["history"]["actions"][first:]} == {SESSION_END}
        return
    found = fork("sess_1", original, timeline, state, "sess_2", "other", limit)
    actions = [*(one.action for one in found.earlier), *found.document["history"]["actions"]]
    assert actions == documents[state.ordinal]["history"]["actions"][first:]
    assert len(found.document["history"]["actions"]) <= limit
    assert (found.document["agent_id"], found.document["agent_name"]) == ("other", "other")
    assert found.document[FORKED_FROM].get("unknown", []) == list(state.unknown)
    assert not verify("sess_2", found.document, raw=encode(found.document)).differences


def test_the_newest_state_keeps_the_stored_actions() -> None:
    document = lived([Update(delta={"n": n}) for n in range(8)] + [ending()])[-2]
    stored = cut(document, 5)
    steps = Timeline(document).steps
    timeline = Timeline(stored, steps)
    found = fork("sess_1", stored, timeline, timeline.state_at(8), "sess_2", None, 1000)
    assert json_equal(without_origin(found.document), without_origin(stored))
    assert [one.ordinal for one in found.earlier] == [0, 1, 2, 3, 4]
    early = fork("sess_1", stored, timeline, timeline.state_at(7), "sess_2", None, 1000)
    assert [one["t"] for one in early.document["history"]["actions"]] == [*range(8)] and not early.earlier


def test_the_time_of_an_earlier_end_is_known_from_its_action() -> None:
    document = lived([Update(delta={}), ending(), Update(delta={}), Update(delta={}), ending()])[-1]
    stored = cut(document, 2)
    timeline = Timeline(stored)
    state = before_end(timeline, timeline.state_at(5))
    assert state is not None and state.ordinal == 4 and "/statistics/session_end" in state.unknown
    found = fork("sess_1", stored, timeline, state, "sess_2", None, 1)
    assert found.document["statistics"]["session_end"] == stored["history"]["actions"][0]["timestamp"]
    assert [one.ordinal for one in found.earlier] == [2, 3]
    assert not verify("sess_2", found.document, raw=encode(found.document)).differences
