"""A glance at a session tells what parsing it tells, or nothing."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.documents import APP_FILES, action, compact, document

from awictl.document.byte_layout import encode, encode_head
from awictl.document.fast_head import Glance, glance
from awictl.document.splice import base_from_string
from awictl.document.timestamps import parse_timestamp
from awictl.sessions.summaries import _epoch_ms, lines, summary, summary_at_a_glance
from awictl.store.base import Listed

NASTY = [
    "plain",
    'a"b',
    "back\\slash",
    "文字 🙂",
    '","agent_name":"other","x":"',
    ',"history":{"last_action":{"t":7}',
    '"statistics":{"last_activity":"1999-01-01T00:00:00.000Z"},"last_updated":"x"',
    "{}",
    "",
]
#: What an agent might send as an input, to pass for the end of a head.
FORGED = {
    "statistics": {"total_actions": 9, "last_activity": "1999-01-01T00:00:00.000Z"},
    "last_updated": "1999-01-01T00:00:00.000Z",
    "history": {"last_action": {"t": 900}, "trimmed_actions": 3, "actions": []},
}


def parsed(raw: bytes) -> Glance:
    base = base_from_string(raw)
    one = summary(Listed("sess_test", base.head, len(base.document["history"]["actions"]), None, len(raw)))
    counts = [base.head["statistics"].get(name) for name in ("total_actions", "failed_actions")]
    return Glance(one.agent_id, one.agent_name, one.route, one.last_activity, one.actions, *counts)  # type: ignore[arg-type]


@pytest.mark.parametrize("sizes", [[], [0], [5, 5, 5], [0] * 300], ids=len)
def test_an_ordinary_session_is_told_at_a_glance(sizes: list[int]) -> None:
    raw = encode(document(sizes))
    assert glance(raw[:4096], len(raw)) == parsed(raw)
    assert glance(raw[:4096], len(raw)) is not None


def test_a_summary_at_a_glance_is_the_summary() -> None:
    raw = encode(document([1, 2, 3]))
    quick = summary_at_a_glance("sess_test", raw[:4096], len(raw), 1234)
    base = base_from_string(raw)
    full = summary(Listed("sess_test", base.head, 3, 1234, len(raw)))
    assert quick is not None and quick._replace(idle_ms=None) == full._replace(idle_ms=None)
    assert quick.idle_ms is not None and abs(quick.idle_ms - (full.idle_ms or 0)) < 60_000


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"agent_name": "文字 🙂"},
        {"agent_name": 'a"b\\'},
        {"statistics": {"last_activity": "x"}},
        {"agent_id": None},
    ],
)
@pytest.mark.parametrize("ttl_ms", [None, 1234])
def test_a_line_at_a_glance_is_the_line(others: dict[str, Any], ttl_ms: int | None) -> None:
    raw = encode(document([1, 2, 3], **others))
    base = base_from_string(raw)
    unreadable: list[None] = []
    view = lines(lambda: unreadable.append(None))
    full = json.loads(view.of(Listed("sess_test", base.head, 3, ttl_ms, len(raw))))
    quick = view.at_a_glance("sess_test", raw[:4096], len(raw), ttl_ms)
    assert (quick is not None) == ("agent_id" not in others)
    if quick is not None:
        found = json.loads(quick)
        assert list(found) == list(full)
        assert (found["idle_ms"] is None) == (full["idle_ms"] is None)
        assert abs((found.pop("idle_ms") or 0) - (full.pop("idle_ms") or 0)) < 60_000
        assert found == full
    assert not unreadable
    assert "error" in json.loads(view.of(Listed("sess_test", {}, None, None, 9, "broken"))) and unreadable


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T07:09:41.403Z", "2026-11-23T07:09:59.999Z", "1969-12-31T23:59:59.001Z", "2026-11-23T07:09:41Z",
        "2026-11-23T07:09:41.403456Z", "2026-11-23T07:09:41.403+02:00", "2026-11-23T07:09:61.403Z", "2026-11-23", "",
        "2026-11-23T25:09:41.403Z", "2026-11-23T07:0٩:41.403Z", "2026-11-23T07:09:4١.403Z", None, 7,
    ],
)  # fmt: skip
def test_a_moment_is_the_same_as_when_it_is_parsed(text: Any) -> None:
    moment = parse_timestamp(text)
    assert _epoch_ms(text) == (math.floor(moment.timestamp() * 1000 + 1e-6) if moment is not None else None)


@pytest.mark.parametrize("path", APP_FILES, ids=lambda path: path.stem)
def test_the_documents_of_the_app(path: Any) -> None:
    assert glance(path.read_bytes()[:4096], path.stat().st_size) is None, "they have no first line"
    raw = encode(base_from_string(path.read_bytes()).document)
    assert glance(raw, len(raw)) in (None, parsed(raw))


@given(
    st.dictionaries(
        st.sampled_from(["agent_id", "agent_name", "current_url", "last_updated", "user_id"]), st.sampled_from(NASTY)
    ),
    st.sampled_from(NASTY),
    st.sampled_from([{}, FORGED, {"x": FORGED}, [FORGED], "text"]),
    st.sampled_from([{}, FORGED, {"history": FORGED}]),
    st.integers(0, 3),
)
def test_whatever_is_in_it(fields: dict[str, str], route: str, given_input: Any, page: Any, count: int) -> None:
    made = document([1] * count, **fields)
    made["page_state"] = {**made["page_state"], "route": route, "metadata": page}
    for one in made["history"]["actions"]:
        one["input"] = given_input
    if count:
        made["history"]["last_action"] = made["history"]["actions"][-1]
    raw = encode(made)
    assert glance(raw, len(raw)) in (None, parsed(raw))
    assert glance(compact(made), len(compact(made))) is None


@pytest.mark.parametrize("place", ["input", "page", "statistics", "top", "history"])
def test_what_an_agent_forges_counts_for_nothing(place: str) -> None:
    made = document([1, 1])
    last = made["history"]["actions"][-1]
    match place:
        case "input":
            last["input"] = FORGED
        case "page":
            made["page_state"]["metadata"] = FORGED
        case "statistics":
            made["statistics"]["nested"] = FORGED
        case "top":
            made["more"] = FORGED
        case "history":
            made["history"]["more"] = FORGED
    made["history"]["last_action"] = last
    raw = encode(made)
    assert parsed(raw).actions == 2
    assert glance(raw, len(raw)) in (None, parsed(raw))


def test_what_is_not_whole_is_not_told() -> None:
    raw = encode(document([1, 1]))
    end = raw.find(b"\n") + 1
    for cut in range(end + 7):
        assert glance(raw[:cut], len(raw)) is None
    head = encode_head({**document([]), "history": {"last_action": action(4), "more": {"actions": 1}}})
    assert glance(head.replace(b'"actions":[ ', b'"actions":{ '), 5000) is None
