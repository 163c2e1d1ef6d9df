"""Strategies for documents with all kinds of trajectories, and how the store reads and writes their strings."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from material import stored_texts, stored_values

from awictl.document.byte_layout import complete_lines
from awictl.document.json_codec import json_equal, loads
from awictl.document.splice import FOLLOWING_BYTES, Base, Splice, action_count, base_from_head, base_from_string, next_t

# -- stored documents

op_ids = st.sampled_from(["op_1", "op_2"])
#: Values of `t` that no program should write.
odd_t = st.sampled_from([None, "0", 1.0, 1.5, -0.0, True, -1, 2**53, 2**64 - 1, [0], {}]) | st.integers(0, 40)


@st.composite
def numbers(draw: st.DrawFn) -> list[Any]:
    """The `t` of a trajectory: consecutive, repeated from some number on, with gaps, or anything."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.lists(odd_t, max_size=8))
    start, stuck = draw(st.integers(0, 30)), draw(st.sampled_from([5, 20, 10**6]))
    steps = draw(st.lists(st.sampled_from([1, 1, 1, 1, 0, 2, 100]), max_size=12))
    found = [start] if steps else []
    for step in steps[1:]:
        found.append(min(max(found[-1], stuck), found[-1] + step))
    return found


@st.composite
def actions(draw: st.DrawFn) -> list[Any]:
    found: list[Any] = []
    for t in draw(numbers()):
        kind = draw(st.integers(0, 9))
        fields = draw(st.dictionaries(stored_texts, stored_values, max_size=2))
        if kind == 0:
            found.append(draw(stored_values))
            continue
        if draw(st.booleans()):
            fields = {"op_id": draw(op_ids | stored_values), **fields}
        if kind > 1:
            fields = {**fields, "t": t} if kind == 2 else {"t": t, **fields}
        found.append(fields)
    return found


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A document with a trajectory and any other fields."""
    trajectory = draw(actions())
    history: dict[str, Any] = {"actions": trajectory}
    match draw(st.integers(0, 3)):
        case 0:
            history["last_action"] = draw(stored_values)
        case 1 | 2 if trajectory:
            history["last_action"] = trajectory[-1]
    if draw(st.integers(0, 4)) == 0:
        history["trimmed_actions"] = draw(odd_t)
    history |= draw(st.dictionaries(stored_texts.filter(lambda key: key not in history), stored_values, max_size=1))
    fields = draw(st.dictionaries(stored_texts.filter(lambda key: key != "history"), stored_values, max_size=3))
    return {"session_id": "sess_1", "history": history, **fields}


any_documents = documents() | st.dictionaries(
    stored_texts, stored_values | st.fixed_dictionaries({"actions": stored_values}), max_size=3
)


# -- reading and writing as the store does


def head_base(raw: bytes) -> Base | None:
    """The base that the store reads first: from the first line and a few more bytes."""
    line = raw.find(b"\n") + 1
    return base_from_head(raw[: line + FOLLOWING_BYTES], len(raw)) if line else None


def written(raw: bytes, base: Base, change: Splice) -> bytes:
    """The string after `commit.lua`, which writes in place if the head fits its slot."""
    assert raw.startswith(base.prefix) and len(raw) == base.length
    plain = change.head + raw[change.keep_from : change.keep_to] + change.tail
    if len(change.head) == change.keep_from:
        buffer = bytearray(raw)
        buffer[change.keep_to : change.keep_to + len(change.tail)] = change.tail
        buffer[: len(change.head)] = change.head
        assert bytes(buffer) == plain
    assert len(plain) == change.length
    return plain


def assert_laid_out(raw: bytes, trajectory: list[Any], number: int) -> None:
    """Assert that `raw` has the layout, and that its head alone gives the next number and the number of actions."""
    head, full = head_base(raw), base_from_string(raw)
    assert head is not None and head.spliceable and full.spliceable
    assert full.lines is not None
    assert head.prefix == full.prefix and raw.index(b"\n") == len(head.prefix) - 1
    assert json_equal(head.document, full.head)
    assert (next_t(head), next_t(full)) == (number, number)
    assert (action_count(head), action_count(full)) == (len(trajectory), len(trajectory))
    ends = [*(start - 2 for start in full.lines[1:]), len(raw) - 4]
    lines = [raw[start:end] for start, end in zip(full.lines, ends, strict=False)]
    assert json_equal([loads(line) for line in lines], trajectory)
    assert complete_lines(raw[len(head.prefix) :], from_start=True) == lines
