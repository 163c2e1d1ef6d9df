"""Merge deltas into documents, and compute the delta between two documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidData
from .json_codec import json_equal


def merge(target: Any, delta: Any) -> Any:
    """`target` with `delta` merged into it. Neither is modified; the result shares unchanged parts with `target`.

    The app's rule: objects merge key by key; everything else replaces, including null; nothing is deleted.
    """
    if not isinstance(target, dict) or not isinstance(delta, dict):
        return delta
    merged = dict(target)
    for key, value in delta.items():
        merged[key] = merge(merged[key], value) if key in merged else value
    return merged


@dataclass(frozen=True)
class DocumentDifference:
    """How one document differs from another."""

    #: The delta from the first document to the second, as far as a delta can express it.
    delta: dict[str, Any]
    #: RFC 6901 JSON pointers to fields that only the first document has: a delta cannot delete.
    removed: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.delta or self.removed)

    def pointers(self, before: dict[str, Any]) -> list[str]:
        """JSON pointers to the fields that differ. `before`: the first document."""
        return [*_changed(self.delta, before), *self.removed]


def compare(before: dict[str, Any], after: dict[str, Any]) -> DocumentDifference:
    """What to merge into `before`, and what to delete from it, to get `after`.

    Raises InvalidData if they are nested too deeply to be compared.
    """
    removed: list[str] = []
    try:
        return DocumentDifference(_difference(before, after, "", removed), removed)
    except RecursionError:
        raise InvalidData("the documents are nested too deeply to be compared") from None


def _difference(before: dict[str, Any], after: dict[str, Any], path: str, removed: list[str]) -> dict[str, Any]:
    delta: dict[str, Any] = {}
    removed += [pointer(path, key) for key in before if key not in after]
    for key, value in after.items():
        if key not in before:
            delta[key] = value
        elif isinstance(value, dict) and isinstance(before[key], dict):
            if inner := _difference(before[key], value, pointer(path, key), removed):
                delta[key] = inner
        elif not json_equal(before[key], value):
            delta[key] = value
    return delta


def _changed(delta: dict[str, Any], before: dict[str, Any]) -> Iterator[str]:
    pending: list[tuple[Any, Any, str]] = [(delta, before, "")]
    while pending:
        value, inner, place = pending.pop()
        if isinstance(value, dict) and isinstance(inner, dict):
            pending += [(one, inner.get(key), pointer(place, key)) for key, one in reversed(value.items())]
        else:
            yield place


def pointer(path: str, key: str) -> str:
    """The JSON pointer (RFC 6901) to a key of the object at `path`."""
    return f"{path}/{key.replace('~', '~0').replace('/', '~1')}"


def keys_of(place: str) -> list[str]:
    """The keys of a JSON pointer, from the outermost on."""
    return [part.replace("~1", "/").replace("~0", "~") for part in place.split("/")[1:]]


def value_at(value: Any, place: str, absent: Any = None) -> Any:
    """The value at a JSON pointer through objects; `absent` if there is none."""
    for key in keys_of(place):
        if not isinstance(value, dict) or key not in value:
            return absent
        value = value[key]
    return value


def leaves(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """The values in an object that are not objects with fields themselves, each with its JSON pointer."""
    for key, inner in value.items():
        place = pointer(path, key)
        if isinstance(inner, dict) and inner:
            yield from leaves(inner, place)
        else:
            yield place, inner
