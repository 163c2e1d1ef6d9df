"""What a page gets of one session: nothing that is redacted, and no state that can be computed."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from planted_secrets import Planter
from support.ui_story import story

from awictl.document.byte_layout import decode
from awictl.document.history.timeline import steps_of
from awictl.document.json_codec import dumps, json_equal
from awictl.document.redaction.redact import Redactor
from awictl.document.redaction.rules import parse_redaction
from awictl.document.schema import new_document
from awictl.sessions.whole_session import WholeSession, whole_from_document
from awictl.ui.api.session_payload import session_payload
from awictl.ui.results.redacted_sessions import redacted_sessions

NOW = "2026-11-27T07:00:00.000Z"


def planted(planter: Planter, count: int, first: int = 0) -> dict[str, Any]:
    """A session with secrets in it, without its first actions."""
    head, actions = planter.session(count)
    document = new_document("sess_1", "agent", "Agent", "/", NOW)
    document["page_state"] |= head["page_state"]
    document["agent_name"] = head["agent_name"]
    taken = [{**one, "t": t, "timestamp": NOW, "success": True} for t, one in enumerate(actions, 1)]
    document["statistics"] |= {"total_actions": len(taken), "successful_actions": len(taken)}
    every = [*document["history"]["actions"], *taken]
    trimmed = {"trimmed_actions": first} if first else {}
    document["history"] = {"actions": every[first:], "last_action": every[-1], **trimmed}
    return document


@pytest.mark.parametrize("first", [0, 9])
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 12))])
def test_a_redacted_payload_has_no_secret_and_gives_the_redacted_states(seed: int, first: int) -> None:
    planter = Planter(seed)
    whole = whole_from_document(planted(planter, 100 if seed == 1 else 1_000, first))
    before = dumps([whole.document, [one.action for one in whole.steps]])
    payload = session_payload(whole, parse_redaction(["default"]))
    assert planter.left_in(payload) == [] and planter.left_in(session_payload(whole))
    assert sum(one["places"] for one in payload["redacted"]["values"].values()) > 50
    assert dumps([whole.document, [one.action for one in whole.steps]]) == before
    redactor = Redactor(parse_redaction(["default"]))
    [redacted] = redacted_sessions([whole], redactor)
    for truth, found in zip(whole.timeline.states(), redacted.timeline.states(), strict=True):
        head = copy.deepcopy(truth.head)
        redactor.state(head, truth.ordinal)
        assert json_equal(head, found.head) and not found.conflicts, truth.ordinal
        assert len(found.unknown) == len(truth.unknown)


def test_a_hidden_id_is_nowhere() -> None:
    document = planted(Planter(1), 3)
    whole = WholeSession("sess_1", document, steps_of(document), origin="sess_1 is old", notices=["sess_1: no archive"])
    payload = session_payload(whole, parse_redaction(["/session_id", "/agent_id"]))
    assert b"sess_1" not in dumps(payload) and payload["head"]["agent_id"] == "<agent-1>"
    assert payload["session_id"] == payload["head"]["session_id"] == "sess_redacted_1"
    assert payload["origin"] == "sess_redacted_1 is old" and payload["redacted"]["pointers"] == [
        "/session_id",
        "/agent_id",
    ]


@pytest.mark.parametrize("first", [0, 700])
def test_a_payload_has_no_state_that_can_be_computed(first: int) -> None:
    """A session that lacks its beginning gets to know more from action to action: only that is added."""
    document = decode(story("sess_1", "agent", "Agent", datetime(2026, 11, 27, tzinfo=UTC), count=1_500))
    actions = document["history"]["actions"][first:]
    trimmed = {"trimmed_actions": first} if first else {}
    document["history"] = {**document["history"], "actions": actions, **trimmed}
    document["page_state"]["big"] = "x" * 5_000
    payload = session_payload(whole_from_document(document))
    keyframes = payload["keyframes"]
    assert sum("head" in one for one in keyframes) == 1 and len(keyframes) < 20
    assert len(dumps(payload)) < len(dumps(document)) * 1.3
