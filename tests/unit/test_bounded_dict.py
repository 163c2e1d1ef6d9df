"""Bounded dicts evict the least recently written entries."""

from __future__ import annotations

from awictl.util.bounded_dict import BoundedByteDict, BoundedDict


def test_the_least_recently_written_entry_is_evicted() -> None:
    bounded: BoundedDict[str, int] = BoundedDict(2)
    bounded["a"], bounded["b"] = 1, 2
    bounded["a"] = 3  # now the most recently written
    bounded["c"] = 4
    assert dict(bounded) == {"a": 3, "c": 4}
    assert bounded.pop("a") == 3 and bounded.get("a") is None
    bounded.clear()
    bounded["d"] = 5
    assert list(bounded) == ["d"]


def by_bytes(limit: int, max_bytes: int) -> BoundedByteDict[str, bytes]:
    return BoundedByteDict(limit, max_bytes, lambda _, value: len(value))


def test_entries_are_evicted_by_bytes_too() -> None:
    bounded = by_bytes(10, 100)
    for name in "abcd":
        bounded[name] = b"x" * 30
    assert list(bounded) == ["b", "c", "d"] and bounded.bytes == 90
    bounded["b"] = b"x" * 40  # rewritten: now the most recently written
    assert list(bounded) == ["c", "d", "b"] and bounded.bytes == 100
    bounded["e"] = b"x" * 90
    assert list(bounded) == ["e"] and bounded.bytes == 90
    bounded["f"] = b"x" * 101
    assert list(bounded) == ["e"], "it would not fit if it were the only one"
    bounded["e"] = b"x" * 101
    assert list(bounded) == [] and bounded.bytes == 0, "the outdated value is not kept, either"
    for name in "ab":
        bounded[name] = b"x" * 50
    bounded["a"] = b""
    assert list(bounded) == ["b", "a"] and bounded.bytes == 50


def test_removed_entries_take_no_bytes() -> None:
    bounded = by_bytes(3, 1_000)
    for name in "abcdef":
        bounded[name] = b"x" * 10
    assert list(bounded) == ["d", "e", "f"] and bounded.bytes == 30
    assert bounded.pop("d") == b"x" * 10 and bounded.pop("d", None) is None and bounded.bytes == 20
    del bounded["e"]
    assert bounded.bytes == 10
    assert bounded.popitem() == ("f", b"x" * 10) and bounded.bytes == 0
    bounded["g"] = b"x"
    bounded.clear()
    assert bounded.bytes == 0 and not bounded
