"""Secrets that are known by the name that stands beside them: fields, headers, parameters, options, form fields.

All regular expressions take linear time: a name is found first, and a value is looked for only after the name of a
secret, from there on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

#: One of these is in the name of each secret.
_STEMS = ("pass", "pwd", "secret", "key", "authorization", "cookie", "credential", "cvv", "cvc", "ssn", "token")
#: Names of at most so many characters, with nothing in them that makes them a text.
_NAME_LIKE = re.compile(r"[\w .$@\[\]-]{2,80}")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
#: Names of secrets, in lower case with a `_` between the words.
_SECRET_NAME = re.compile(
    r"(?!(?:.*_)?(?:page|next|prev|previous|continuation|cursor|sync|start|skip|resume|scroll|pagination)_token)"
    r"(?:.*_)?(?:"
    r"[a-z0-9]*pass_?(?:word|wd|phrase|code)|(?:db|smtp|mail|mysql|redis|ftp|user|admin|root|login)_?pass|pwd"
    r"|(?:client|app|api|shared|session)?secret|authorization|(?:set_?)?cookies?|credentials?|cvv|cvc|ssn"
    r"|(?:api|private|secret|access|signing|encryption|master|auth|ssh|subscription)_?key"
    r"|(?:access|auth|refresh|id|session|csrf|xsrf|api|bearer|security|oauth)?token"
    r")(?:_(?:confirm|confirmed|confirmation|again|repeat|repeated|verify|verification|hash|value|old|new|current|[0-9]))?"
)
#: Fields with the name of another value, and fields with that value: forms, headers and cookies are kept like this.
_LABELS = ("name", "field", "key", "header", "parameter", "param", "variable", "id", "type", "label", "placeholder")
_PLACES = ("selector", "element", "target", "locator")
_VALUES = frozenset({"value", "val", "text", "content"})
_IDENTIFIER = re.compile(r"[\w-]+")

_NAME = r"(?P<name>[A-Za-z0-9_][A-Za-z0-9_-]{1,79}+(?: [Kk]ey)?)"
_ASSIGNED = re.compile(
    rf"(?<![A-Za-z0-9_]){_NAME}(?P<close>[\"'\]]{{0,2}}+)(?P<gap>\s{{0,20}}+(?:=>|:=|[:=])\s{{0,20}}+)"
)
_HEADER = re.compile(rf"(?:^|[\r\n]|(?P<quote>[\"']))[ \t]*+{_NAME}[ \t]*+:[ \t]*+(?!bearer|basic)", re.IGNORECASE)
_OPTION = re.compile(r"(?<![\w-])--?(?P<name>[A-Za-z][A-Za-z0-9_-]{1,79}+)[ \t]++")
_LABEL = re.compile(rf"(?<![\w-])(?:{'|'.join(_LABELS)})[\"']?+\s{{0,9}}+[:=]\s{{0,9}}+[\"']?+{_NAME}[\"']?+")
_VALUE_OF_LABEL = re.compile(rf"(?<![\w-])(?:{'|'.join(sorted(_VALUES))})[\"']?+\s{{0,9}}+[:=]\s{{0,9}}+")
#: How far a value may be from its label in a text, in characters.
_NEAR = 300
#: A string as JSON, Python and others have it; a text may be cut off in it.
_QUOTED = re.compile(r"[bBuUrR]{0,2}(?:\"((?:[^\"\\]|\\.)++)(?:\"|\\?\Z)|'((?:[^'\\]|\\.)++)(?:'|\\?\Z))", re.DOTALL)
_WORD = re.compile(r"(?!(?:bearer|basic)\b)[\"']?+([^\s\"'&;,<>(){}]{3,}+)", re.IGNORECASE)
#: The same after a colon or a space, where it may be a word of a sentence: only what has letters and digits.
_MIXED_WORD = re.compile(
    r"(?!//|\d{4}-\d\d-\d\d)(?=[^\s\"'&;,<>(){}0-9]{0,200}+\d)(?=[^\s\"'&;,<>(){}A-Za-z]{0,200}+[A-Za-z])"
    r"([^\s\"'&;,<>(){}]{4,}+)"
)
_NUMBER = re.compile(r"(-?[0-9][0-9.]*+)")
_OPTION_VALUE = re.compile(r"([^\s\"'<>&|;-][^\s\"'<>&|;]{2,}+)")
#: The rest of a line, or what is quoted with it.
_LINES = {
    None: re.compile(r"([^\s\"<>](?:[^\r\n\"<>]*[^\s\"<>])?)"),
    '"': re.compile(r"([^\s\"<>](?:[^\r\n\"<>]*[^\s\"<>])?)"),
    "'": re.compile(r"([^\s'<>](?:[^\r\n'<>]*[^\s'<>])?)"),
}


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a field, header, parameter or variable with this name has a secret as its value."""
    if not has_stem(name.lower()) or _NAME_LIKE.fullmatch(name) is None:
        return False
    return _SECRET_NAME.fullmatch("_".join(_WORDS.findall(name)).lower()) is not None


def has_stem(lower: str) -> bool:
    """Whether a text in lower case may have the name of a secret."""
    return any(stem in lower for stem in _STEMS)


def values_of_labels(items: Iterable[tuple[Any, Any]]) -> frozenset[str]:
    """Return the keys of an object with a secret that another field names, as in `{"name": "pin", "value": 17}`."""
    fields = {key.lower(): (key, value) for key, value in items if isinstance(key, str)}
    values = _VALUES & fields.keys()
    if not values:
        return frozenset()
    labels = [fields[name][1] for name in _LABELS if name in fields]
    labels += [(_IDENTIFIER.findall(one) or [""])[-1] for one in _texts_at(fields, _PLACES)]
    if any(isinstance(one, str) and is_secret_name(one) for one in labels):
        return frozenset(fields[name][0] for name in values)
    return frozenset()


def _texts_at(fields: dict[str, tuple[str, Any]], names: Iterable[str]) -> Iterator[str]:
    for name in names:
        value = fields[name][1] if name in fields else None
        if isinstance(value, str) and len(value) <= _NEAR:
            yield value


def named_secrets(text: str) -> Iterator[tuple[int, int]]:
    """Yield the places of the secrets in a text that have a name: start and end; they may overlap."""
    for regex, value_of in _FORMS:
        end = 0
        for found in regex.finditer(text):
            # a name within the value before it is no name; this also keeps the time linear
            if found.start() < end or not is_secret_name(found["name"]):
                continue
            value = value_of(text, found)
            if value is not None:
                end = value.end()
                yield value.span(value.lastindex or 0)


def _assigned(text: str, found: re.Match[str]) -> re.Match[str] | None:
    at = found.end()
    value = _QUOTED.match(text, at)
    if value is None and found["gap"] == "=":
        value = _WORD.match(text, at)
    elif value is None:
        value = _MIXED_WORD.match(text, at) or (_NUMBER.match(text, at) if found["close"] else None)
    return value


def _in_header(text: str, found: re.Match[str]) -> re.Match[str] | None:
    return _LINES[found["quote"]].match(text, found.end())


def _of_option(text: str, found: re.Match[str]) -> re.Match[str] | None:
    return _QUOTED.match(text, found.end()) or _OPTION_VALUE.match(text, found.end())


def _labelled(text: str, found: re.Match[str]) -> re.Match[str] | None:
    """The value in the same brackets, before or after its label."""
    start = max(text.rfind(one, max(found.start() - _NEAR, 0), found.start()) for one in "<{[(") + 1
    limit = found.end() + _NEAR
    end = min((one for one in (text.find(one, found.end(), limit) for one in ">}])") if one >= 0), default=limit)
    label = _VALUE_OF_LABEL.search(text, start or found.start(), end)
    if label is None:
        return None
    return _QUOTED.match(text, label.end()) or _WORD.match(text, label.end())


_FORMS: tuple[tuple[re.Pattern[str], Callable[[str, re.Match[str]], re.Match[str] | None]], ...] = (
    (_ASSIGNED, _assigned),
    (_HEADER, _in_header),
    (_OPTION, _of_option),
    (_LABEL, _labelled),
)
