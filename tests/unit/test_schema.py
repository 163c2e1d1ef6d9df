"""A new session document."""

from __future__ import annotations

import json

from material import load, raw

from awictl.document.schema import new_document


def test_a_new_document_equals_that_of_the_app_including_the_order_of_keys() -> None:
    created = load("session_01_created.json")
    route, now = created["current_url"], created["last_updated"]
    document = new_document(created["session_id"], created["agent_id"], created["agent_name"], route, now)
    compact = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    # the app writes the actions before the last one, too
    assert compact.encode() == raw("session_01_created.json").strip()


def test_new_documents_share_nothing() -> None:
    first, second = (new_document("sess_1", "agent", "Agent", "/", "now") for _ in range(2))
    first["action_state"]["available_actions"].append("x")
    first["page_state"]["filters"]["x"] = 1
    assert second == new_document("sess_1", "agent", "Agent", "/", "now")
