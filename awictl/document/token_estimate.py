"""Estimate how many tokens of a language model JSON is, from its size alone.

A step costs an agent the record of its action: its input, its delta and what came of it. That is what
`GET …/session/diff` sends, and what an agent reads that follows its session by diffs instead of reading pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .json_codec import dumps

#: Bytes of JSON per token, fitted to `o200k_base`: states have 3.2 to 3.5, and actions 2.9 to 3.3, since ids and
#: timestamps are a large part of them (plain English has 4 to 5). `awictl bench tokens` counts them exactly.
BYTES_PER_TOKEN = 3


def estimated_tokens(size: float) -> int:
    """About how many tokens `size` bytes of JSON are; rather too many than too few."""
    return round(size / BYTES_PER_TOKEN)


def tokens_per_step(actions: Sequence[Any]) -> int | None:
    """About how many tokens an action of a trajectory is, on average; None if there is none."""
    return estimated_tokens(sum(map(len, map(dumps, actions))) / len(actions)) if actions else None


def state_tokens(document: dict[str, Any]) -> int:
    """About how many tokens a session is without its history, which is what the last step has led to."""
    return estimated_tokens(len(dumps({name: value for name, value in document.items() if name != "history"})))
