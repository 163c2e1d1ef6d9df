"""Stored values of any size, cut to what a page can show."""

from __future__ import annotations

from typing import Any

from ...agents.secret import mask_whole_secrets
from ...document.json_codec import dumps

#: Stands for the items of an array, or the fields of an object, that are left out.
MORE = "…"


def text_of(value: Any, characters: int) -> str:
    """A value as text: a string as it is, others as JSON. A long one is cut, and says how long it is."""
    return cut(value if isinstance(value, str) else dumps(value).decode(), characters)


def cut(text: str, characters: int) -> str:
    """A text without API keys; if it is longer than `characters`, its beginning and its length."""
    text = mask_whole_secrets(text)
    return text if len(text) <= characters else f"{text[:characters]}{MORE} ({len(text):,} characters)"


def bounded(value: Any, characters: int = 2_000, items: int = 100, depth: int = 6) -> Any:
    """A copy of a JSON value with at most `characters` per string, and at most `items` per array or object.

    What is nested more deeply than `depth` is text.
    """
    if isinstance(value, str):
        return cut(value, characters)
    if not isinstance(value, (dict, list)):
        return value
    if not depth:
        return text_of(value, characters)
    more = len(value) - items
    if isinstance(value, list):
        found = [bounded(one, characters, items, depth - 1) for one in value[:items]]
        return [*found, f"{MORE} {more:,} more"] if more > 0 else found
    named = list(value.items())[:items]
    copy = {cut(name, characters): bounded(one, characters, items, depth - 1) for name, one in named}
    return copy | {MORE: f"{more:,} more"} if more > 0 else copy
