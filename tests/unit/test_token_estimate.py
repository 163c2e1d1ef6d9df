"""The estimate of tokens, against counts by `o200k_base` (splintr-rs 0.22.0) of the documents that the app wrote."""

from __future__ import annotations

import pytest
from material import load

from awictl.document.token_estimate import estimated_tokens, state_tokens, tokens_per_step


@pytest.mark.parametrize(
    ("name", "state", "step"),
    [("session_02_one_delta", 264, 53.0), ("session_03_many", 385, 101.1), ("session_04_over_100_actions", 385, 63.0)],
)
def test_the_estimate_is_close_to_the_count(name: str, state: int, step: float) -> None:
    document = load(f"{name}.json")
    assert state_tokens(document) == pytest.approx(state, rel=0.2)
    assert tokens_per_step(document["history"]["actions"]) == pytest.approx(step, rel=0.2)


def test_a_session_without_actions_has_no_steps() -> None:
    assert tokens_per_step([]) is None
    assert estimated_tokens(0) == 0
    assert state_tokens({"history": {"actions": ["x"] * 100}}) == state_tokens({}) == estimated_tokens(2)
