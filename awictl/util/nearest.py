"""Suggest the known name that is nearest to an unknown one."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a question for the known name that is nearest to an unknown one; empty if none is near."""
    from difflib import get_close_matches  # only for messages

    names = {one.lower(): one for one in known}
    found = get_close_matches(name.lower(), names, 1)
    return f" (did you mean {names[found[0]]}?)" if found else ""
