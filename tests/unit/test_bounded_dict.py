"""BoundedDict evicts the least recently written entry."""

from __future__ import annotations

from awictl.util.bounded_dict import BoundedDict


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
