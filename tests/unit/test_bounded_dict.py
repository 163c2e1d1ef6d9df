"""A dict that remembers the latest few entries."""

from __future__ import annotations

from awictl.util.bounded_dict import BoundedDict


def test_the_oldest_leave() -> None:
    recent: BoundedDict[str, int] = BoundedDict(2)
    recent["a"], recent["b"] = 1, 2
    recent["a"] = 3  # set again, it is the latest
    recent["c"] = 4
    assert dict(recent) == {"a": 3, "c": 4}
    assert recent.pop("a") == 3 and recent.get("a") is None
    recent.clear()
    recent["d"] = 5
    assert list(recent) == ["d"]
