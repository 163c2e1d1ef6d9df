"""The numbers of actions."""

from __future__ import annotations

from typing import Any

import pytest

from awictl.document.action_numbers import numbers_of, t_of


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([0, 1, 2], [0, 1, 2]),
        ([5, 5, 2**53 - 1], [5, 5, 2**53 - 1]),
        ([0, True, 2], [0, None, 2]),
        ([0, 1.0, 2], [0, None, 2]),
        ([-1, 0], [None, 0]),
        ([2**53, 7], [None, 7]),
        ([None, "3", 4], [None, None, 4]),
        ([], []),
    ],
)
def test_only_integers_that_can_be_counted_with_are_numbers(numbers: list[Any], expected: list[Any]) -> None:
    actions = [{"t": number} for number in numbers]
    assert numbers_of(actions) == list(map(t_of, actions)) == expected


def test_what_is_no_action_has_no_number() -> None:
    assert numbers_of([{"t": 1}, None, 3, {}]) == [1, None, None, None]
