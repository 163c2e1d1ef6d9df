"""Rejoin versions of a session: no action that any of them has is lost, and none is there twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.documents import compact, document, plain

from awictl import InvalidData
from awictl.document.byte_layout import decode, encode
from awictl.document.rejoin import rejoined, shared


def version(names: str, layout: Any = compact, **others: Any) -> bytes:
    """A session with an action for each letter; equal letters are equal actions, as the app's `t` repeats."""
    made = document(**others)
    actions = [{"t": 100, "action": name, "input": {}, "delta": {}} for name in names]
    made["history"] = {"actions": actions, "last_action": actions[-1] if actions else None}
    raw: bytes = layout(made)
    return raw


def names_of(raw: bytes) -> str:
    return "".join(one["action"] for one in decode(raw)["history"]["actions"])


@pytest.mark.parametrize(
    ("versions", "names"),
    [
        (["abc"], "abc"),
        (["abc", "abcd"], "abcd"),
        (["abcde", "cdef"], "abcdef"),  # cut by the app
        (["abu", "abr"], "abur"),  # the app overwrote u
        (["abe", "abl", "ablm"], "abelm"),
        (["aaa", "aaaa"], "aaaa"),
        (["aab", "aabb"], "aabb"),
        (["abu", "abr", "abuv"], "aburv"),  # two of its processes
        (["abc", "xyz"], "abcxyz"),
        (["abc", ""], "abc"),
        (["", "a"], "a"),
    ],
)
def test_the_actions_of_all_versions_are_kept(versions: list[str], names: str) -> None:
    for layout in (compact, encode):
        assert names_of(rejoined([version(one, layout) for one in versions])) == names


def test_a_single_version_keeps_its_bytes_and_the_last_one_gives_the_state() -> None:
    odd = b' {"history": {"actions": []}}'
    assert rejoined([odd]) == odd
    joined = plain(rejoined([version("ab", page_state={"n": 1}), version("abc", page_state={"n": 2}, x=2**63)]))
    assert (joined["page_state"], joined["x"]) == ({"n": 2}, 2**63)


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b'{"history": {}}'])
def test_a_version_that_is_no_session_is_an_error(broken: bytes) -> None:
    with pytest.raises(InvalidData):
        rejoined([version("a"), broken])


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.text("abx", max_size=30), st.text("abx", max_size=10), st.integers(1, 40))
def test_what_the_app_appends_and_cuts_is_added_exactly_once(before: str, added: str, kept: int) -> None:
    """If the app keeps at least one action that was there before, and none of its own is cut."""
    after = (before + added)[-max(kept, len(added) + 1) :]
    assert shared(list(before), list(after)) >= len(after) - len(added)
    if "x" not in before and set(added) <= {"x"}:
        assert names_of(rejoined([version(before), version(after)])) == before + added


def test_an_action_that_the_app_wrote_back_is_the_same() -> None:
    """JavaScript prints 1.0 as 1, rounds large integers, and moves keys that are integers to the front."""
    mine = {"t": 1, "action": "a", "input": {"n": 1.0, "id": 2**60 + 1, "b": 1, "2": 0}, "delta": {}}
    its = {"t": 1, "action": "a", "input": {"2": 0, "n": 1, "id": 2**60, "b": 1}, "delta": {}}
    later = {"t": 2, "action": "b", "input": {}, "delta": {}}
    versions = []
    for actions in ([mine], [its, later]):
        made = document()
        made["history"] = {"actions": actions, "last_action": actions[-1]}
        versions.append(compact(made))
    assert names_of(rejoined(versions)) == "ab"
