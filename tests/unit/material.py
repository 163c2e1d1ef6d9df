"""Shared by the unit tests: data that the app wrote, and Hypothesis strategies for stored JSON and JSON input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from awictl import Settings

DATA = Path(__file__).parent.parent / "data"

#: Session documents as the app stores them.
SESSIONS = ["session_01_created.json", "session_02_one_delta.json", "session_03_many.json"]
SESSIONS += ["session_04_over_100_actions.json"]

#: Strings that a careless search for bytes would mistake for structure.
NASTY = ["", '"', "\\", "\n", ",\n", "\n]}}", '"actions":[', '"op_id":"op_1"}', "\u2028", "🙂", "t", "op_id", "history"]
#: Strings that are valid in stored documents only, not in input.
SURROGATES = ["\ud800", "x\udfff"]


def load(name: str) -> Any:
    """Parse a JSON file in tests/data."""
    return json.loads((DATA / name).read_text(encoding="utf-8"))


def raw(name: str) -> bytes:
    """Return the bytes of a file in tests/data, as the app stored them."""
    return (DATA / name).read_bytes()


def nested(depth: int, inmost: Any = None) -> Any:
    """Return arrays nested `depth` levels deep."""
    value: Any = [] if inmost is None else [inmost]
    for _ in range(depth - 1):
        value = [value]
    return value


def json_values(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Return a strategy for JSON values with `texts` as strings and keys."""
    numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    scalars = st.none() | st.booleans() | numbers | texts
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
    )


input_texts = st.sampled_from(NASTY) | st.text(max_size=6)
stored_texts = input_texts | st.sampled_from(SURROGATES)
input_values = json_values(input_texts)
stored_values = json_values(stored_texts)


#: Type of the fixture `load_settings`.
Load = Callable[..., Settings]


def profile(*lines: str) -> dict[str, str]:
    """Return arguments of `load_settings` for a profile `p` with these lines of TOML."""
    return {"profile": "p", "config": "\n".join(["[profiles.p]", *lines])}
