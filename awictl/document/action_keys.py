"""Recognize the same action in two versions of a session."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from hashlib import sha256
from typing import Any

from .json_codec import dumps

#: Largest integer up to which doubles, the numbers of JavaScript, are exact.
_EXACT = 2**53


def key_of(action: Any) -> Hashable:
    """Return a key that is equal for an action and the same action after the app has read and written it.

    JavaScript rounds large integers, prints 1.0 as 1, and moves keys that are integers to the front of an object.
    """
    try:
        return _normalized(action)
    except RecursionError:  # the app stores deeper values than Python can recurse into
        return dumps(action)


def keys_of(actions: Iterable[Any]) -> list[Hashable]:
    """Return the key of each action."""
    return [key_of(one) for one in actions]


def digest_of_actions(actions: Sequence[Any]) -> str:
    """Return a digest of a trajectory, in hex. Equal digests mean equal actions; unequal ones need a closer look."""
    return sha256(dumps(actions)).hexdigest()[:32]


def _normalized(value: Any) -> Hashable:
    kind = type(value)
    if kind is dict:
        return ("{", *sorted((key, _normalized(item)) for key, item in value.items()))
    if kind is list:
        return ("[", *map(_normalized, value))
    if kind is bool:
        return ("b", value)  # true is not 1
    if kind is int and not -_EXACT <= value <= _EXACT:
        return float(value)
    hashable: Hashable = value
    return hashable
