"""The page of a session in one file: no planted secret is left in it, and its texts end no element."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from planted_secrets import Planter

from awictl.document.redaction.rules import parse_redaction
from awictl.document.schema import new_document
from awictl.sessions.whole_session import whole_from_document
from awictl.ui.offline.page import embedded_json, page, session_copy

STARTED = "2026-11-23T07:09:41.403Z"


def page_of(document: dict[str, Any]) -> bytes:
    """The page of a session, redacted."""
    return b"".join(page(session_copy(whole_from_document(document), parse_redaction(["default"]), STARTED)))


def check_plants(seed: int, count: int) -> None:
    planter = Planter(seed)
    head, actions = planter.session(count)
    document = new_document("sess_1", "agent-1", head["agent_name"], STARTED, "/") | {"page_state": head["page_state"]}
    document["history"] = {"last_action": actions[-1], "actions": actions}
    text = page_of(document).decode()
    [data] = re.findall(r'id="payload">(.*?)</script>', text, re.DOTALL)
    assert planter.left_in([json.loads(data), text]) == []


def test_no_planted_secret_is_left_in_a_page() -> None:
    check_plants(7, 100)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 110))
def test_none_of_10_000_planted_secrets_is_left_in_a_page(seed: int) -> None:
    check_plants(seed, 1000)


@pytest.mark.parametrize("text", ["</script>", "<!--", "<script", "\u2028\u2029", "]]>", "\ud800", "\x00\r", "\\u003c"])
def test_a_text_in_the_data_of_a_page_ends_nothing_and_stays_itself(text: str) -> None:
    value = {text: [text]}
    data = embedded_json(value)
    assert json.loads(data) == value
    assert not any(one in data for one in (b"<", b"\xe2\x80\xa8", b"\x00", b"\r"))
